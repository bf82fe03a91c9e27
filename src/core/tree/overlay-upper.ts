import { type ByteString, fromText, toText } from "../bytes/byte-string.ts";
import { OsdeployError } from "../errors.ts";
import type { Directory, FileTree, Inode, SpecialFile, Xattrs } from "./inode.ts";
import type { EtcStep } from "./merge-etc.ts";
import { findDirectory } from "./tree-path.ts";

/** Attributes by which overlayfs remembers things in an upper directory. They are no attributes of the files that one sees. */
const ownPrefix = "trusted.overlay.";
const opaque = fromText("trusted.overlay.opaque");
const whiteout = fromText("trusted.overlay.whiteout");

/**
 * What one sees through an overlay mount of `upper` over `lower`: files, whiteouts and opaque directories of both forms that
 * the kernel writes. O(names); contents are named as in both trees.
 *
 * @throws OsdeployError `unsupported` for what only its kernel can resolve: files whose content stayed below (metacopy), and
 * directories that were renamed (redirect). Neither is on where /etc is mounted as bootc and osdeploy do it.
 * @see https://docs.kernel.org/filesystems/overlayfs.html
 */
export function applyUpper(lower: FileTree, upper: FileTree): FileTree {
  return { root: mergeDirectory(lower.root, upper.root, fromText("")) };
}

function mergeDirectory(lower: Directory | undefined, upper: Directory, path: ByteString): Directory {
  refuseReferences(upper, path);
  const below = upper.xattrs.get(opaque) === "y" ? undefined : lower;
  const entries = new Map(below?.entries);
  for (const [name, inode] of upper.entries) {
    if (isWhiteout(inode)) entries.delete(name);
    else entries.set(name, mergeInode(below?.entries.get(name), inode, pathIn(path, name)));
  }
  return { ...upper, entries, links: new Set(), xattrs: withoutOwn(upper.xattrs) };
}

function mergeInode(lower: Inode | undefined, upper: Inode, path: ByteString): Inode {
  if (upper.kind === "directory") return mergeDirectory(lower?.kind === "directory" ? lower : undefined, upper, path);
  refuseReferences(upper, path);
  return { ...upper, xattrs: withoutOwn(upper.xattrs) };
}

/** A device 0:0, or an empty file that says so: kernels write it so where the upper directory is itself on an overlay. */
function isWhiteout(inode: Inode): boolean {
  if (inode.kind === "character-device") return inode.rdev === 0;
  return inode.kind === "regular" && inode.xattrs.has(whiteout);
}

function refuseReferences({ xattrs }: Inode, path: ByteString): void {
  const found = ["metacopy", "redirect"].find((name) => xattrs.has(fromText(`${ownPrefix}${name}`)));
  if (found === undefined) return;
  const state = `its upper directory needs the overlay's ${found}, which only the kernel resolves`;
  throw new OsdeployError("unsupported", `Cannot merge /etc/${toText(path)}: ${state}`, {
    facts: { hint: "In the running system, make the file or directory anew: copy it, remove it, rename the copy" },
  });
}

function withoutOwn(xattrs: Xattrs): Xattrs {
  return new Map([...xattrs].filter(([key]) => !key.startsWith(ownPrefix)));
}

function pathIn(path: ByteString, name: ByteString): ByteString {
  return (path === "" ? name : `${path}/${name}`) as ByteString;
}

/**
 * The steps that make an upper directory through which, over the image's own directory, one sees what `steps` make: what
 * came from the host, the directories that lead to it, and a whiteout for each name of the image's that is not among them.
 * The first step is the upper directory itself, whose metadata the mount shows.
 */
export function upperSteps(image: FileTree, steps: readonly EtcStep[]): readonly EtcStep[] {
  const all = [...steps, ...whiteouts(image, steps)];
  const needed = new Set<string>([""]);
  for (const step of all) if (step.from === "host" || isWhiteout(step.inode)) addWithParents(needed, step.path);
  return all.filter(({ path }) => needed.has(path)).sort(parentsFirst);
}

function whiteouts(image: FileTree, steps: readonly EtcStep[]): readonly EtcStep[] {
  const there = new Set<string>(steps.map(({ path }) => path));
  return steps.flatMap(({ path, inode }) => {
    const below = inode.kind === "directory" ? findDirectory(image, path) : undefined;
    const gone = [...(below?.entries.keys() ?? [])]
      .map((name) => pathIn(path, name))
      .filter((name) => !there.has(name));
    return gone.map((name): EtcStep => ({ path: name, from: "image", inode: whiteoutNode }));
  });
}

const whiteoutNode: SpecialFile = {
  kind: "character-device",
  rdev: 0,
  claimedSizeBytes: 0n,
  nlink: 1,
  stat: { permissions: 0, uid: 0, gid: 0, mtimeSeconds: 0n, mtimeNanoseconds: 0 },
  xattrs: new Map(),
};

function addWithParents(paths: Set<string>, path: ByteString): void {
  const names = path.split("/");
  names.forEach((_, index) => {
    paths.add(names.slice(0, index + 1).join("/"));
  });
}

/** A parent's path is the shorter one of two that begin alike. */
function parentsFirst(a: EtcStep, b: EtcStep): number {
  const depth = ({ path }: EtcStep) => (path === "" ? 0 : path.split("/").length);
  return depth(a) - depth(b) || (a.path < b.path ? -1 : 1);
}
