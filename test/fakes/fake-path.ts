import type { ByteString } from "../../src/core/bytes/byte-string.ts";
import type { FailedCall } from "../../src/linux/errno.ts";
import { systemCallError } from "../../src/linux/errno.ts";
import { refuseNul } from "../../src/linux/libc.ts";
import type { Path } from "../../src/linux/linux.ts";
import type { FakeDisk } from "./fake-disk.ts";
import type { FakeInode } from "./fake-inode.ts";

/** Where a path leads: the directory that holds its last name, and what has that name now. */
export interface FakePlace {
  readonly directory: FakeInode;
  readonly name: ByteString;
  readonly inode: FakeInode | undefined;
}

const longestName = 255;
const longestPath = 4095;
const mostSymlinks = 40;

/**
 * Walks `path` as the kernel does. A symlink at its end is followed only on request. Relative paths start at the root.
 *
 * @throws OsdeployError for `call`, with the kernel's errno.
 */
export function walk(disk: FakeDisk, call: FailedCall, path: Path, options: { follow: boolean }): FakePlace {
  refuseNul(path);
  if (path === "") throw systemCallError(call, "ENOENT");
  if (path.length > longestPath) throw systemCallError(call, "ENAMETOOLONG");
  const parts = path.split("/").filter((part) => part !== "") as ByteString[];
  const mustBeDirectory = path.endsWith("/");
  let here = disk.root;
  let place: FakePlace = { directory: here, name: "." as ByteString, inode: here };
  let symlinks = 0;
  while (parts.length > 0) {
    const name = parts.shift() as ByteString;
    if (here.kind !== "directory") throw systemCallError(call, "ENOTDIR");
    place = step(disk, here, name, call);
    const isLast = parts.length === 0;
    if (place.inode?.kind === "symlink" && (!isLast || options.follow || mustBeDirectory)) {
      symlinks += 1;
      if (symlinks > mostSymlinks) throw systemCallError(call, "ELOOP");
      parts.unshift(...(place.inode.target.split("/").filter((part) => part !== "") as ByteString[]));
      if (place.inode.target.startsWith("/")) here = disk.root;
      continue;
    }
    if (isLast) break;
    if (place.inode === undefined) throw systemCallError(call, "ENOENT");
    here = place.inode;
  }
  if (mustBeDirectory && place.inode !== undefined && place.inode.kind !== "directory") {
    throw systemCallError(call, "ENOTDIR");
  }
  return place;
}

function step(disk: FakeDisk, here: FakeInode, name: ByteString, call: FailedCall): FakePlace {
  if (name.length > longestName) throw systemCallError(call, "ENAMETOOLONG");
  if (name === ".") return { directory: here, name, inode: here };
  if (name === "..") {
    const up = above(disk, here);
    return { directory: up, name, inode: up };
  }
  const found = here.entries.get(name);
  const covering = found === undefined ? undefined : disk.mounts.get(found);
  return { directory: here, name, inode: covering ?? found };
}

function above(disk: FakeDisk, here: FakeInode): FakeInode {
  for (const [place, root] of disk.mounts) if (root === here) return place.parent;
  return here.parent;
}

/** {@link walk} to something that is there. */
export function find(disk: FakeDisk, call: FailedCall, path: Path, options = { follow: false }): FakeInode {
  const { inode } = walk(disk, call, path, options);
  if (inode === undefined) throw systemCallError(call, "ENOENT");
  return inode;
}

/** {@link walk} to a name that is free, in a file system that can be written to. */
export function findFree(disk: FakeDisk, call: FailedCall, path: Path): FakePlace {
  const place = walk(disk, call, path, { follow: false });
  if (place.inode !== undefined) throw systemCallError(call, "EEXIST");
  return writable(place, call);
}

/** Refuses a read-only file system. */
export function writable<Where extends { readonly directory: FakeInode }>(where: Where, call: FailedCall): Where {
  if (where.directory.fileSystem.readOnly) throw systemCallError(call, "EROFS");
  return where;
}
