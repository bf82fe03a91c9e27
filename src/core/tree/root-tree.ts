import { fromText } from "../bytes/byte-string.ts";
import { OsdeployError } from "../errors.ts";
import { labelTree } from "../selinux/label-tree.ts";
import { readPolicy } from "../selinux/selinux-policy.ts";
import { finishHardLinks } from "./hard-links.ts";
import type { Directory, FileContent, FileTree, Inode, Leaf, Stat, Xattrs } from "./inode.ts";
import { kindNames } from "./kind-names.ts";
import { mapEntries } from "./tree-path.ts";

const names = {
  usr: fromText("usr"),
  run: fromText("run"),
  boot: fromText("boot"),
  sysroot: fromText("sysroot"),
  capability: fromText("security.capability"),
} as const;

/** Reads the content of a file in the tree; objects come from the repo. Files of a policy only, a few MiB each. */
export type ReadFile = (content: FileContent) => Uint8Array;

/**
 * The tree of an image as it is mounted to look at, from its merged layers.
 *
 * The root gets the metadata of /usr, because layers seldom say anything reliable about it; /run is emptied and gets the
 * time of /usr; of extended attributes only `security.capability` stays. All of it decides the image's id, and is what
 * composefs-rs does. `name` is for errors.
 *
 * @throws OsdeployError `not-bootable` when /usr is no directory, or /run something else.
 */
export function toRawTree(tree: FileTree, name = "this image"): FileTree {
  const doing = `make a root image of ${name}`;
  const usr = requireDirectory(tree.root, "usr", doing);
  const entries = new Map(tree.root.entries);
  const run = entries.get(names.run);
  if (run !== undefined) {
    if (run.kind !== "directory") throw notBootable("run", run, doing);
    const { mtimeSeconds, mtimeNanoseconds } = usr.stat;
    entries.set(names.run, emptied(run, { ...run.stat, mtimeSeconds, mtimeNanoseconds }));
  }
  const root: Directory = { ...tree.root, stat: usr.stat, xattrs: usr.xattrs, entries };
  return finishHardLinks(keepCapabilities(root, new Map()));
}

/**
 * The tree that a machine boots, from a raw tree.
 *
 * /boot and /sysroot are emptied, for other file systems are mounted there, and get the seconds of /usr's time; their own
 * nanoseconds stay, an oddity of composefs-rs that decides the image's id. Then all gets the SELinux labels of the
 * image's own policy, or loses its labels where there is none.
 *
 * @throws OsdeployError `not-bootable` when /usr, /boot or /sysroot is no directory or the policy cannot be used;
 * `limit-exceeded` when the policy is too large or too costly to apply; what `readFile` throws.
 */
export function toBootTree(tree: FileTree, readFile: ReadFile, image = "this image"): FileTree {
  const doing = `boot ${image}`;
  const usr = requireDirectory(tree.root, "usr", doing);
  const entries = new Map(tree.root.entries);
  for (const name of ["boot", "sysroot"] as const) {
    const directory = requireDirectory(tree.root, name, doing);
    entries.set(names[name], emptied(directory, { ...directory.stat, mtimeSeconds: usr.stat.mtimeSeconds }));
  }
  const root = { ...tree.root, entries };
  return finishHardLinks(labelTree(root, readPolicy(root, readFile)));
}

function requireDirectory(root: Directory, name: keyof typeof advice, doing: string): Directory {
  const inode = root.entries.get(names[name]);
  if (inode?.kind !== "directory") throw notBootable(name, inode, doing);
  return inode;
}

const advice = {
  usr: "The root of every root image gets the metadata of /usr: add that directory to the image's recipe",
  run: "Make it an empty directory in the image's recipe; the system mounts over it",
  boot: 'Add "RUN mkdir -p /boot /sysroot" to the image\'s recipe; the system mounts over them',
  sysroot: 'Add "RUN mkdir -p /boot /sysroot" to the image\'s recipe; the system mounts over them',
};

function notBootable(name: keyof typeof advice, inode: Inode | undefined, doing: string): OsdeployError {
  const state = inode === undefined ? `it has no /${name}` : `its /${name} is a ${kindNames[inode.kind]}`;
  return new OsdeployError("not-bootable", `Cannot ${doing}: ${state}`, {
    facts: { path: `/${name}`, hint: advice[name] },
  });
}

function emptied(directory: Directory, stat: Stat): Directory {
  return { ...directory, stat, entries: new Map(), links: new Set() };
}

/**
 * `directory` and all below with only the attribute that stays. Leaves that change and are shared stay shared through
 * `leaves`.
 */
function keepCapabilities(directory: Directory, leaves: Map<Leaf, Leaf>): Directory {
  const entries = mapEntries(directory.entries, (inode) => {
    if (inode.kind === "directory") return keepCapabilities(inode, leaves);
    const xattrs = onlyCapability(inode.xattrs);
    if (xattrs === inode.xattrs) return inode;
    const kept = leaves.get(inode) ?? { ...inode, xattrs };
    if (inode.nlink !== 1) leaves.set(inode, kept);
    return kept;
  });
  const xattrs = onlyCapability(directory.xattrs);
  const isSame = entries === directory.entries && xattrs === directory.xattrs;
  return isSame ? directory : { ...directory, xattrs, entries };
}

const noXattrs: Xattrs = new Map();

function onlyCapability(xattrs: Xattrs): Xattrs {
  const capability = xattrs.get(names.capability);
  if (capability === undefined) return xattrs.size === 0 ? xattrs : noXattrs;
  return xattrs.size === 1 ? xattrs : new Map([[names.capability, capability]]);
}
