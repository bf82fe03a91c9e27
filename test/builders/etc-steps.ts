import { type ByteString, fromText } from "../../src/core/bytes/byte-string.ts";
import type { Directory, FileTree, Inode } from "../../src/core/tree/inode.ts";
import type { EtcStep } from "../../src/core/tree/merge-etc.ts";

/** All below the root as `path=content`, directories with a slash. */
export function describeTree({ root }: FileTree): readonly string[] {
  const below = (at: Directory, path: string): readonly string[] =>
    [...at.entries].flatMap(([name, inode]) => {
      const here = `${path}${name}`;
      if (inode.kind === "directory") return [`${here}/`, ...below(inode, `${here}/`)];
      return [
        `${here}=${inode.kind === "regular" && inode.content.kind === "inline" ? inode.content.bytes : inode.kind}`,
      ];
    });
  return [...below(root, "")].sort();
}

/** The tree that steps make. */
export function treeOfSteps(steps: readonly EtcStep[]): FileTree {
  const directories = new Map<string, Map<ByteString, Inode>>();
  let root: Directory | undefined;
  for (const { path, inode } of steps) {
    let made = inode;
    if (inode.kind === "directory") {
      const entries = new Map<ByteString, Inode>();
      directories.set(path, entries);
      made = { ...inode, entries };
    }
    if (path === "" && made.kind === "directory") root = made;
    const slash = path.lastIndexOf("/");
    if (path !== "") directories.get(path.slice(0, Math.max(slash, 0)))?.set(fromText(path.slice(slash + 1)), made);
  }
  if (root === undefined) throw new Error("the first step is the directory itself");
  return { root };
}
