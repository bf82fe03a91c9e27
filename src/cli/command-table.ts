import type { DefineCommand } from "./frame.ts";
import type { Voice } from "./output/error-text.ts";

/** A command: its words, one line about it, and where the rest is. Only the command that runs is loaded. */
export interface CommandRow {
  readonly words: readonly [string, ...string[]];
  readonly summary: string;
  /** The program whose error texts and exit status it has, where that is not osdeploy. */
  readonly voice?: Voice;
  readonly load: () => Promise<{ readonly define: DefineCommand }>;
}

/** A word that only leads to further words. */
export interface CommandGroup {
  readonly summary: string;
  readonly voice?: Voice;
}

/** All groups, by their word. */
export const commandGroups: Readonly<Record<string, CommandGroup>> = {
  image: { summary: "look into images in the repo" },
  repo: { summary: "make, check and clean the repo" },
  composefs: {
    summary: "work on composefs image files, as mkcomposefs and composefs-info do",
    voice: "composefs-info",
  },
};

/** All commands, in the order in which the help lists them. */
export const commandTable: readonly CommandRow[] = [
  {
    words: ["pull"],
    summary: "bring an image into the repo",
    load: () => import("./commands/pull.ts"),
  },
  {
    words: ["images"],
    summary: "list the images in the repo",
    load: () => import("./commands/images.ts"),
  },
  {
    words: ["image", "inspect"],
    summary: "show an image's digests, layers, manifest and config",
    load: () => import("./commands/image/inspect.ts"),
  },
  {
    words: ["image", "ls"],
    summary: "list files of an image",
    load: () => import("./commands/image/ls.ts"),
  },
  {
    words: ["image", "cat"],
    summary: "print a file of an image",
    load: () => import("./commands/image/cat.ts"),
  },
  {
    words: ["image", "dump"],
    summary: "print an image's tree as composefs-dump(5) text",
    load: () => import("./commands/image/dump.ts"),
  },
  {
    words: ["image", "diff"],
    summary: "compare the files of two images",
    load: () => import("./commands/image/diff.ts"),
  },
  {
    words: ["image", "digest"],
    summary: "print the id of an image's root image",
    load: () => import("./commands/image/digest.ts"),
  },
  {
    words: ["image", "mount"],
    summary: "mount an image read-only",
    load: () => import("./commands/image/mount.ts"),
  },
  {
    words: ["image", "umount"],
    summary: "take a mounted image away",
    load: () => import("./commands/image/umount.ts"),
  },
  {
    words: ["switch"],
    summary: "make an image what boots next",
    load: () => import("./commands/switch.ts"),
  },
  {
    words: ["status"],
    summary: "show the deployments and what boots next",
    load: () => import("./commands/status.ts"),
  },
  {
    words: ["repo", "init"],
    summary: "make an empty repo",
    load: () => import("./commands/repo/init.ts"),
  },
  {
    words: ["repo", "info"],
    summary: "tell what the repo is and how much is in it",
    load: () => import("./commands/repo/info.ts"),
  },
  {
    words: ["repo", "fsck"],
    summary: "check every byte, and tell which images are hit by damage",
    load: () => import("./commands/repo/fsck.ts"),
  },
  {
    words: ["repo", "gc"],
    summary: "remove what nothing refers to",
    load: () => import("./commands/repo/gc.ts"),
  },
  {
    words: ["composefs", "create"],
    summary: "make a composefs image, as mkcomposefs does",
    voice: "mkcomposefs",
    load: () => import("./commands/composefs/create.ts"),
  },
  {
    words: ["composefs", "dump"],
    summary: "print composefs images as composefs-dump(5) text",
    voice: "composefs-info",
    load: () => import("./commands/composefs/dump.ts"),
  },
  {
    words: ["composefs", "ls"],
    summary: "list the files in composefs images",
    voice: "composefs-info",
    load: () => import("./commands/composefs/ls.ts"),
  },
  {
    words: ["composefs", "objects"],
    summary: "list the objects that composefs images need",
    voice: "composefs-info",
    load: () => import("./commands/composefs/objects.ts"),
  },
  {
    words: ["composefs", "missing-objects"],
    summary: "list those that an object directory lacks",
    voice: "composefs-info",
    load: () => import("./commands/composefs/missing-objects.ts"),
  },
  {
    words: ["composefs", "measure"],
    summary: "print the fs-verity digests of files",
    voice: "composefs-info",
    load: () => import("./commands/composefs/measure.ts"),
  },
];
