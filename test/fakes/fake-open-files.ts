import { fromText } from "../../src/core/bytes/byte-string.ts";
import { OsdeployError } from "../../src/core/errors.ts";
import { type FailedCall, showPath, systemCallError } from "../../src/linux/errno.ts";
import type { Fd, LinuxFiles, OpenMode, Path } from "../../src/linux/linux.ts";
import { blockBytes, type FakeInode, syncInode, writeContent } from "./fake-inode.ts";
import { type FakeMachine, type FakeOpenFile, needRoom, openFileOf } from "./fake-machine.ts";
import { find, findFree } from "./fake-path.ts";
import { statOf } from "./fake-stat.ts";

type OpenFileCalls =
  | "open"
  | "close"
  | "read"
  | "write"
  | "writeAt"
  | "setSize"
  | "writeNewFile"
  | "readStart"
  | "readFile"
  | "fstat"
  | "sync"
  | "syncFileSystem"
  | "lock";

/** The calls on open files. */
export function fakeOpenFiles(machine: FakeMachine): Pick<LinuxFiles, OpenFileCalls> {
  return {
    open: (path, mode, permissions = 0o644) => open(machine, path, mode, permissions),
    close: (fd) => {
      openFileOf(machine, "close", fd);
      machine.openFiles.delete(fd);
    },
    read: (fd, target, at) => read(openFileOf(machine, "read", fd), target, at),
    write: (fd, source) => {
      const file = openFileOf(machine, "write", fd);
      const call = { verb: "write", path: file.path };
      machine.faults.mutating("write", call, () => write(machine, file, firstHalf(source)));
      write(machine, file, source);
    },
    writeAt: (fd, source, position) => {
      const file = openFileOf(machine, "write", fd);
      const call = { verb: "write", path: file.path };
      machine.faults.mutating("writeAt", call, () => writeAt(machine, file, firstHalf(source), position));
      writeAt(machine, file, source, position);
    },
    setSize: (fd, sizeBytes) => {
      const file = openFileOf(machine, "set the size of", fd);
      const call = { verb: "set the size of", path: file.path };
      if (!file.writable) throw systemCallError(call, "EINVAL");
      machine.faults.mutating("setSize", call);
      setSize(machine, file.inode, sizeBytes);
    },
    writeNewFile: (path, source, permissions) => {
      const call = { verb: "write", path };
      machine.faults.mutating("writeNewFile", call, () => {
        writeNewFile(machine, path, firstHalf(source), permissions);
      });
      writeNewFile(machine, path, source, permissions);
    },
    readStart: (path, target, length) => {
      const fd = open(machine, path, "read", 0);
      try {
        return read(openFileOf(machine, "read", fd), target, { offset: 0, length });
      } finally {
        machine.openFiles.delete(fd);
      }
    },
    readFile: (path, limitBytes) => readFile(machine, path, limitBytes),
    fstat: (fd) => statOf(openFileOf(machine, "read the metadata of", fd).inode),
    sync: (fd) => {
      const { inode, path } = openFileOf(machine, "sync", fd);
      machine.faults.mutating("sync", { verb: "sync", path });
      syncInode(inode);
      // Like the live one: the directory of the name too, and with it the names beside it, but not its own name.
      if (inode.kind !== "directory") inode.parent.durableEntries = new Map(inode.parent.entries);
    },
    syncFileSystem: (fd) => {
      const { inode, path } = openFileOf(machine, "sync the file system of", fd);
      machine.faults.mutating("syncFileSystem", { verb: "sync the file system of", path });
      machine.disk.sync(inode.fileSystem);
    },
    lock: (fd, kind, options) => lock(machine, fd, kind, options.wait),
  };
}

let lastFd = 100;

function open(machine: FakeMachine, path: Path, mode: OpenMode, permissions: number): Fd {
  machine.faults.alive();
  const call = { verb: mode === "create" ? "create" : "open", path };
  if (mode === "create") machine.faults.mutating("create", call);
  const inode = mode === "create" ? create(machine, call, permissions) : existing(machine, call, mode);
  return register(machine, inode, path, mode);
}

function register(machine: FakeMachine, inode: FakeInode, path: Path, mode: OpenMode): Fd {
  // A number is never used twice, so that use after close is found.
  lastFd += 1;
  const fd = lastFd as Fd;
  machine.openFiles.set(fd, {
    inode,
    path,
    readable: mode !== "append",
    writable: mode === "create" || mode === "append" || mode === "update",
    position: mode === "append" ? Number.POSITIVE_INFINITY : 0,
    lock: undefined,
  });
  return fd;
}

function create(machine: FakeMachine, call: FailedCall, permissions: number): FakeInode {
  const { directory, name } = findFree(machine.disk, call, call.path);
  needRoom(call, directory, 1);
  const inode = machine.disk.make(directory.fileSystem, "regular", permissions);
  machine.disk.addName(directory, name, inode);
  return inode;
}

function existing(machine: FakeMachine, call: FailedCall, mode: OpenMode): FakeInode {
  const inode = find(machine.disk, call, call.path, { follow: mode === "directory" || mode === "input" });
  if (mode === "directory") {
    if (inode.kind !== "directory") throw systemCallError(call, "ENOTDIR");
    return inode;
  }
  if (inode.kind === "symlink") throw systemCallError(call, "ELOOP");
  if (mode === "append" || mode === "update") {
    if (inode.kind === "directory") throw systemCallError(call, "EISDIR");
    if (inode.fileSystem.readOnly) throw systemCallError(call, "EROFS");
    if (inode.attributes.seal !== undefined) throw systemCallError(call, "EPERM");
  }
  return inode;
}

function read(file: FakeOpenFile, target: Uint8Array, at: Parameters<LinuxFiles["read"]>[2]): number {
  const { inode } = file;
  const call = { verb: "read", path: file.path };
  if (!file.readable) throw systemCallError(call, "EBADF");
  if (inode.kind === "directory") throw systemCallError(call, "EISDIR");
  // The kernel checks each page of a sealed file against the Merkle tree.
  if (inode.damaged && inode.attributes.seal !== undefined) throw systemCallError(call, "EIO");
  const start = at.position ?? file.position;
  const end = Math.min(start + at.length, inode.content.length);
  if (end <= start) return 0;
  target.set(inode.content.bytes.subarray(start, end), at.offset);
  if (at.position === undefined) file.position = end;
  return end - start;
}

function write(machine: FakeMachine, file: FakeOpenFile, source: Uint8Array): void {
  const { inode } = file;
  const call = { verb: "write", path: file.path };
  if (!file.writable) throw systemCallError(call, "EBADF");
  const position = Math.min(file.position, inode.content.length);
  needRoom(call, inode, blockBytes(position + source.length) - blockBytes(inode.content.length));
  writeContent(inode, position, source);
  file.position += source.length;
  machine.disk.touch(inode);
}

function writeAt(machine: FakeMachine, file: FakeOpenFile, source: Uint8Array, position: number): void {
  const { inode } = file;
  const call = { verb: "write", path: file.path };
  if (!file.writable) throw systemCallError(call, "EBADF");
  needRoom(call, inode, Math.max(0, blockBytes(position + source.length) - blockBytes(inode.content.length)));
  writeContent(inode, position, source);
  machine.disk.touch(inode);
}

/** The fake has no holes: zeros take room like all bytes. */
function setSize(machine: FakeMachine, inode: FakeInode, sizeBytes: number): void {
  const { content } = inode;
  const kept = content.bytes.slice(0, Math.min(content.length, sizeBytes));
  inode.content = { bytes: kept, length: kept.length };
  inode.fileSystem.usedBytes += blockBytes(inode.content.length) - blockBytes(content.length);
  if (sizeBytes > content.length) {
    needRoom({ verb: "set the size of", path: fromText("") }, inode, blockBytes(sizeBytes));
    writeContent(inode, sizeBytes, new Uint8Array(0));
  }
  machine.disk.touch(inode);
}

function firstHalf(source: Uint8Array): Uint8Array {
  return source.subarray(0, Math.floor(source.length / 2));
}

function writeNewFile(machine: FakeMachine, path: Path, source: Uint8Array, permissions: number): void {
  const call = { verb: "write", path };
  const inode = create(machine, call, permissions);
  needRoom(call, inode, blockBytes(source.length));
  writeContent(inode, 0, source);
  machine.disk.touch(inode);
}

function readFile(machine: FakeMachine, path: Path, limitBytes: number): Uint8Array {
  const fd = open(machine, path, "read", 0);
  try {
    const file = openFileOf(machine, "read", fd);
    const bytes = new Uint8Array(Math.min(file.inode.content.length, limitBytes + 1));
    const length = read(file, bytes, { offset: 0, length: bytes.length });
    if (length <= limitBytes) return bytes;
    const facts = { path: showPath(path), limitBytes };
    throw new OsdeployError(
      "limit-exceeded",
      `Cannot read "${showPath(path)}": it is longer than ${limitBytes} bytes`,
      {
        facts,
      },
    );
  } finally {
    machine.openFiles.delete(fd);
  }
}

function lock(machine: FakeMachine, fd: Fd, kind: "shared" | "exclusive", wait: boolean): boolean {
  const file = openFileOf(machine, "lock", fd);
  for (const other of machine.openFiles.values()) {
    if (other === file || other.inode !== file.inode || other.lock === undefined) continue;
    if (other.lock === "shared" && kind === "shared") continue;
    if (wait) throw new Error(`Waiting for the lock on ${file.path} would never end: this very process holds it`);
    return false;
  }
  file.lock = kind;
  return true;
}
