import type { ByteString } from "../../src/core/bytes/byte-string.ts";
import { verityDigest } from "../../src/core/digest/fs-verity.ts";
import { assert } from "../../src/core/errors.ts";
import { type FailedCall, systemCallError } from "../../src/linux/errno.ts";
import type { LinuxFiles, Path } from "../../src/linux/linux.ts";
import { attributesAtFirst, blockBytes, type FakeAttributes, type FakeInode, writeContent } from "./fake-inode.ts";
import { type FakeMachine, needRoom } from "./fake-machine.ts";
import { find, findFree, walk } from "./fake-path.ts";
import { statOf } from "./fake-stat.ts";

type AttributeCalls =
  | "lstat"
  | "lstatIfExists"
  | "setPermissions"
  | "setOwner"
  | "setTime"
  | "makeNode"
  | "xattrs"
  | "setXattr"
  | "space"
  | "cloneFile"
  | "takeProtection"
  | "enableVerity"
  | "measureVerity";

/** The calls on what a file has besides its bytes and names. */
export function fakeAttributes(machine: FakeMachine): Pick<LinuxFiles, AttributeCalls> {
  const { disk, faults } = machine;
  return {
    lstat: (path) => {
      faults.alive();
      return statOf(find(disk, { verb: "read the metadata of", path }, path));
    },
    lstatIfExists: (path) => {
      faults.alive();
      const inode = findIfExists(machine, path);
      return inode === undefined ? undefined : statOf(inode);
    },
    setPermissions: (path, permissions) => {
      const call = { verb: "set the permissions of", path };
      faults.mutating("setPermissions", call);
      const inode = changeable(machine, call);
      if (inode.kind === "symlink") throw systemCallError(call, "ENOTSUP");
      change(inode, { permissions });
    },
    setOwner: (path, uid, gid) => {
      const call = { verb: "set the owner of", path };
      faults.mutating("setOwner", call);
      change(changeable(machine, call), { uid, gid });
    },
    setTime: (path, mtimeSeconds, mtimeNanoseconds) => {
      const call = { verb: "set the time of", path };
      faults.mutating("setTime", call);
      if (mtimeNanoseconds > 999_999_999) throw systemCallError(call, "EINVAL");
      change(changeable(machine, call), { mtimeSeconds, mtimeNanoseconds });
    },
    makeNode: (path, kind, { permissions, rdev }) => {
      assert(kind !== "directory" && kind !== "symlink", "directories and symlinks are made by calls of their own");
      const call = { verb: `make the ${kind}`, path, isNew: true } as const;
      faults.mutating("makeNode", call);
      const { directory, name } = findFree(disk, call, path);
      disk.addName(directory, name, disk.make(directory.fileSystem, kind, permissions, { rdev }));
    },
    xattrs: (path) => {
      faults.alive();
      return find(disk, { verb: "list the attributes of", path }, path).attributes.xattrs;
    },
    setXattr: (path, key, value) => setXattr(machine, path, key, value),
    space: (path) => {
      faults.alive();
      const { fileSystem } = find(disk, { verb: "read the free space of", path }, path, { follow: true });
      const { totalBytes, usedBytes, readOnly, type } = fileSystem;
      return { totalBytes, availableBytes: totalBytes - usedBytes, availableInodes: 1_000_000, readOnly, type };
    },
    cloneFile: (source, target, permissions) => cloneFile(machine, source, target, permissions),
    takeProtection: (path) => takeProtection(machine, path),
    enableVerity: (path, algorithm) => enableVerity(machine, path, algorithm),
    measureVerity: (path, algorithm) => {
      faults.alive();
      const { seal } = openable(machine, path).attributes;
      return seal?.algorithm === algorithm ? seal.digest : undefined;
    },
  };
}

function takeProtection(machine: FakeMachine, path: Path): boolean {
  const inode = find(machine.disk, { verb: "open", path }, path);
  if (inode.attributes.isProtected !== true) return false;
  machine.faults.mutating("takeProtection", { verb: "take the protection of", path });
  change(inode, { isProtected: false });
  return true;
}

function findIfExists(machine: FakeMachine, path: Path): FakeInode | undefined {
  try {
    return walk(machine.disk, { verb: "read the metadata of", path }, path, { follow: false }).inode;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "not-found") return undefined;
    throw error;
  }
}

function changeable(machine: FakeMachine, call: FailedCall): FakeInode {
  const inode = find(machine.disk, call, call.path);
  if (inode.fileSystem.readOnly) throw systemCallError(call, "EROFS");
  return inode;
}

function change(inode: FakeInode, attributes: Partial<FakeAttributes>): void {
  inode.attributes = { ...inode.attributes, ...attributes };
  inode.fileSystem.dirty.add(inode);
}

const namespaces = /^(user|trusted|security|system)\./;

function setXattr(machine: FakeMachine, path: Path, key: ByteString, value: ByteString): void {
  const call = { verb: `set the attribute ${key} of`, path };
  machine.faults.mutating("setXattr", call);
  const inode = changeable(machine, call);
  if (!namespaces.test(key)) throw systemCallError(call, "ENOTSUP");
  const ordinary = inode.kind === "regular" || inode.kind === "directory";
  if (key.startsWith("user.") && !ordinary) throw systemCallError(call, "EPERM");
  change(inode, { xattrs: new Map(inode.attributes.xattrs).set(key, value) });
}

/** What `open` for reading gives. */
function openable(machine: FakeMachine, path: Path): FakeInode {
  const call = { verb: "open", path };
  const inode = find(machine.disk, call, path);
  if (inode.kind === "symlink") throw systemCallError(call, "ELOOP");
  return inode;
}

function cloneFile(machine: FakeMachine, source: Path, target: Path, permissions: number): boolean {
  const call = { verb: "clone", path: source, to: target };
  machine.faults.mutating("cloneFile", call);
  const { content } = openable(machine, source);
  const { directory, name } = findFree(machine.disk, { verb: "create", path: target }, target);
  if (!machine.canClone) return false;
  const copy = machine.disk.make(directory.fileSystem, "regular", permissions);
  needRoom(call, copy, blockBytes(content.length));
  machine.disk.addName(directory, name, copy);
  writeContent(copy, 0, content.bytes.subarray(0, content.length));
  return true;
}

function enableVerity(machine: FakeMachine, path: Path, algorithm: "sha256" | "sha512"): boolean {
  const call = { verb: "seal", path };
  machine.faults.mutating("enableVerity", call);
  const inode = openable(machine, path);
  if (!machine.hasVerity) return false;
  if (inode.kind !== "regular") throw systemCallError(call, inode.kind === "directory" ? "EISDIR" : "EINVAL");
  if (inode.fileSystem.readOnly) throw systemCallError(call, "EROFS");
  if (inode.attributes.seal !== undefined) return true;
  for (const file of machine.openFiles.values()) {
    if (file.inode === inode && file.writable) throw systemCallError(call, "ETXTBSY");
  }
  const { bytes, length } = inode.content;
  change(inode, { seal: { algorithm, digest: verityDigest(algorithm, bytes.subarray(0, length)) } });
  // The kernel writes the bytes out before it builds the tree over them. The seal itself is durable later.
  inode.durable = { attributes: inode.durable?.attributes ?? attributesAtFirst(inode), content: inode.content };
  return true;
}
