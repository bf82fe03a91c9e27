import type { Command } from "commander";
import type { DefineCommand } from "./frame.ts";
import { addLeadingOptions } from "./info-words.ts";
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
  /** Adds options that can stand before the words that follow. */
  readonly addOptions?: (command: Command) => void;
}

/** All groups, by their word. */
export const commandGroups: Readonly<Record<string, CommandGroup>> = {
  image: { summary: "look into images, and send them elsewhere" },
  repo: { summary: "make, check and clean the repo" },
  quarantine: { summary: "look after images that failed here" },
  install: { summary: "put an image onto a disk, or into a root file system" },
  lab: { summary: "try images in virtual machines" },
  composefs: {
    summary: "work on composefs image files, as mkcomposefs and composefs-info do",
    voice: "composefs-info",
    addOptions: addLeadingOptions,
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
    words: ["plan"],
    summary: "tell what a pull of an image would fetch and write",
    load: () => import("./commands/plan.ts"),
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
    words: ["image", "explain"],
    summary: "tell why an image is not as somebody promised",
    load: () => import("./commands/image/explain.ts"),
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
    words: ["image", "untag"],
    summary: "take names of images away",
    load: () => import("./commands/image/untag.ts"),
  },
  {
    words: ["image", "push"],
    summary: "write an image of the repo to a registry, a directory or an archive",
    load: () => import("./commands/image/push.ts"),
  },
  {
    words: ["image", "copy"],
    summary: "copy an image from one place to another, without a repo",
    load: () => import("./commands/image/copy.ts"),
  },
  {
    words: ["bundle"],
    summary: "write what some hosts lack of an image to one file",
    load: () => import("./commands/bundle.ts"),
  },
  {
    words: ["switch"],
    summary: "make an image what boots next",
    load: () => import("./commands/switch.ts"),
  },
  {
    words: ["upgrade"],
    summary: "bring the newest image of what this system follows",
    load: () => import("./commands/upgrade.ts"),
  },
  {
    words: ["rollback"],
    summary: "let the deployment before boot next",
    load: () => import("./commands/rollback.ts"),
  },
  {
    words: ["status"],
    summary: "show the deployments and what boots next",
    load: () => import("./commands/status.ts"),
  },
  {
    words: ["gc"],
    summary: "remove deployments that are no longer needed, and what only they needed",
    load: () => import("./commands/gc.ts"),
  },
  {
    words: ["quarantine", "list"],
    summary: "show the images that failed here",
    load: () => import("./commands/quarantine/list.ts"),
  },
  {
    words: ["quarantine", "remove"],
    summary: "let an upgrade bring an image again",
    load: () => import("./commands/quarantine/remove.ts"),
  },
  {
    words: ["finalize-staged"],
    summary: "commit what is staged; run at shutdown",
    load: () => import("./commands/finalize-staged.ts"),
  },
  {
    words: ["boot-complete"],
    summary: "take note of a good boot; run when one is complete",
    load: () => import("./commands/boot-complete.ts"),
  },
  {
    words: ["install", "to-disk"],
    summary: "make a disk that starts an image",
    load: () => import("./commands/install/to-disk.ts"),
  },
  {
    words: ["install", "to-filesystem"],
    summary: "put an image into an empty file system that is mounted",
    load: () => import("./commands/install/to-filesystem.ts"),
  },
  {
    words: ["install", "to-existing-root"],
    summary: "put an image beside a system that is there",
    load: () => import("./commands/install/to-existing-root.ts"),
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
    words: ["lab", "run"],
    summary: "make a virtual machine of an image and switch it on",
    load: () => import("./commands/lab/run.ts"),
  },
  {
    words: ["lab", "ssh"],
    summary: "a root shell in a machine, or a command",
    load: () => import("./commands/lab/ssh.ts"),
  },
  {
    words: ["lab", "console"],
    summary: "a machine's serial console",
    load: () => import("./commands/lab/console.ts"),
  },
  {
    words: ["lab", "list"],
    summary: "list the machines",
    load: () => import("./commands/lab/list.ts"),
  },
  {
    words: ["lab", "upgrade"],
    summary: "bring an image into a machine, as a registry would",
    load: () => import("./commands/lab/upgrade.ts"),
  },
  {
    words: ["lab", "stop"],
    summary: "switch machines off",
    load: () => import("./commands/lab/stop.ts"),
  },
  {
    words: ["lab", "rm"],
    summary: "remove machines",
    load: () => import("./commands/lab/rm.ts"),
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
