import type { ByteString } from "../../src/core/bytes/byte-string.ts";
import { type FailedCall, systemCallError } from "../../src/linux/errno.ts";
import { refuseNul } from "../../src/linux/libc.ts";
import type { LinuxFiles, Path } from "../../src/linux/linux.ts";
import type { FakeInode } from "./fake-inode.ts";
import { type FakeMachine, needRoom } from "./fake-machine.ts";
import { type FakePlace, find, findFree, walk, writable } from "./fake-path.ts";

type NameCalls =
  | "readDirectory"
  | "readLink"
  | "realPath"
  | "makeDirectory"
  | "removeDirectory"
  | "unlink"
  | "symlink"
  | "link"
  | "rename"
  | "exchange";

/** The calls that read and change names. */
export function fakeNames(machine: FakeMachine): Pick<LinuxFiles, NameCalls> {
  const { disk, faults } = machine;
  return {
    readDirectory: (path) => {
      faults.alive();
      const call = { verb: "read the directory", path };
      const directory = find(disk, call, path, { follow: true });
      if (directory.kind !== "directory") throw systemCallError(call, "ENOTDIR");
      return [...directory.entries.keys()].sort();
    },
    readLink: (path) => {
      faults.alive();
      const call = { verb: "read the symbolic link", path };
      const inode = find(disk, call, path);
      if (inode.kind !== "symlink") throw systemCallError(call, "EINVAL");
      return inode.target;
    },
    realPath: (path) => {
      faults.alive();
      return realPath(machine, path);
    },
    makeDirectory: (path, permissions) => {
      const call = { verb: "make the directory", path, isNew: true } as const;
      faults.mutating("makeDirectory", call);
      const place = freePlace(machine, call, path);
      disk.addName(place.directory, place.name, disk.make(place.directory.fileSystem, "directory", permissions));
    },
    removeDirectory: (path) => removeDirectory(machine, path),
    unlink: (path) => {
      const call = { verb: "remove", path };
      faults.mutating("unlink", call);
      const { directory, name, inode } = existingPlace(machine, call, path);
      if (inode.kind === "directory") throw systemCallError(call, "EISDIR");
      disk.removeName(directory, name, inode);
    },
    symlink: (target, path) => {
      const call = { verb: "make the symbolic link", path, isNew: true } as const;
      faults.mutating("symlink", call);
      refuseNul(target);
      if (target === "") throw systemCallError(call, "ENOENT");
      const place = freePlace(machine, call, path);
      disk.addName(place.directory, place.name, disk.make(place.directory.fileSystem, "symlink", 0o777, { target }));
    },
    link: (existing, path) => {
      const call = { verb: "link", path: existing, to: path };
      faults.mutating("link", call);
      const inode = find(disk, call, existing);
      const place = findFree(disk, call, path);
      if (inode.fileSystem !== place.directory.fileSystem) throw systemCallError(call, "EXDEV");
      if (inode.kind === "directory") throw systemCallError(call, "EPERM");
      disk.addName(place.directory, place.name, inode);
    },
    rename: (from, to, options) => rename(machine, { from, to, replace: options?.replace ?? true }),
    exchange: (one, other) => exchange(machine, one, other),
  };
}

function freePlace(machine: FakeMachine, call: FailedCall, path: Path): FakePlace {
  const place = findFree(machine.disk, call, path);
  needRoom(call, place.directory, 1);
  return place;
}

type ExistingPlace = FakePlace & { readonly inode: FakeInode };

function existingPlace(machine: FakeMachine, call: FailedCall, path: Path): ExistingPlace {
  const { directory, name, inode } = walk(machine.disk, call, path, { follow: false });
  if (inode === undefined) throw systemCallError(call, "ENOENT");
  if (inode === inode.parent) throw systemCallError(call, "EBUSY");
  if ([directory, inode].some(({ attributes }) => attributes.isProtected)) throw systemCallError(call, "EPERM");
  return writable({ directory, name, inode }, call);
}

function removeDirectory(machine: FakeMachine, path: Path): void {
  const call = { verb: "remove the directory", path };
  machine.faults.mutating("removeDirectory", call);
  const { directory, name, inode } = existingPlace(machine, call, path);
  if (inode.kind !== "directory") throw systemCallError(call, "ENOTDIR");
  if (inode.entries.size > 0) throw systemCallError(call, "ENOTEMPTY");
  machine.disk.removeName(directory, name, inode);
}

interface Rename {
  readonly from: Path;
  readonly to: Path;
  readonly replace: boolean;
}

function rename(machine: FakeMachine, { from, to, replace }: Rename): void {
  const { disk } = machine;
  const call = { verb: "rename", path: from, to };
  machine.faults.mutating("rename", call);
  refuseNul(to);
  const source = existingPlace(machine, call, from);
  const target = walk(disk, call, to, { follow: false });
  if (source.directory.fileSystem !== target.directory.fileSystem) throw systemCallError(call, "EXDEV");
  if (target.inode !== undefined && !replace) throw systemCallError(call, "EEXIST");
  if (source.inode === target.inode) return;
  for (let above = target.directory; above !== above.parent; above = above.parent) {
    if (above === source.inode) throw systemCallError(call, "EINVAL");
  }
  if (target.inode !== undefined) {
    refuseReplacement(call, source.inode, target.inode);
    disk.removeName(target.directory, target.name, target.inode);
  }
  disk.removeName(source.directory, source.name, source.inode);
  moveIn(machine, target.directory, target.name, source.inode);
}

function exchange(machine: FakeMachine, one: Path, other: Path): boolean {
  const call = { verb: "exchange", path: one, to: other };
  machine.faults.mutating("exchange", call);
  refuseNul(other);
  const [first, second] = [existingPlace(machine, call, one), existingPlace(machine, call, other)];
  if (first.inode.fileSystem !== second.inode.fileSystem) throw systemCallError(call, "EXDEV");
  if (!machine.canExchange) return false;
  if (first.inode === second.inode) return true;
  for (const { directory, name, inode } of [first, second]) machine.disk.removeName(directory, name, inode);
  moveIn(machine, first.directory, first.name, second.inode);
  moveIn(machine, second.directory, second.name, first.inode);
  return true;
}

function moveIn(machine: FakeMachine, directory: FakeInode, name: ByteString, inode: FakeInode): void {
  // removeName took the room of a file without names back; it has one again.
  if (inode.names === 0) inode.fileSystem.usedBytes += Math.ceil(inode.content.length / 4096) * 4096;
  machine.disk.addName(directory, name, inode);
}

function refuseReplacement(call: FailedCall, source: FakeInode, target: FakeInode): void {
  if (source.kind !== "directory") {
    if (target.kind === "directory") throw systemCallError(call, "EISDIR");
    return;
  }
  if (target.kind !== "directory") throw systemCallError(call, "ENOTDIR");
  if (target.entries.size > 0) throw systemCallError(call, "ENOTEMPTY");
}

/** Relative paths start at the root, as everywhere in the fake. That there is no endless ring of symlinks was found first. */
function realPath({ disk }: FakeMachine, path: Path): Path {
  find(disk, { verb: "find", path }, path, { follow: true });
  const rest = path.split("/");
  let real: readonly string[] = [];
  for (let name = rest.shift(); name !== undefined; name = rest.shift()) {
    if (name === "..") real = real.slice(0, -1);
    if (["", ".", ".."].includes(name)) continue;
    const here = `/${[...real, name].join("/")}` as Path;
    const inode = find(disk, { verb: "find", path }, here);
    if (inode.kind !== "symlink") real = [...real, name];
    else {
      if (inode.target.startsWith("/")) real = [];
      rest.unshift(...inode.target.split("/"));
    }
  }
  return `/${real.join("/")}` as Path;
}
