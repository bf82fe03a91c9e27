import type { ByteString } from "../../src/core/bytes/byte-string.ts";
import type { FileKind } from "../../src/linux/linux.ts";
import {
  attributesAtFirst,
  blockBytes,
  type FakeFileSystem,
  type FakeInode,
  noContent,
  syncInode,
} from "./fake-inode.ts";

/** A file system of the fake machine, mounted at an absolute path. */
export interface FakeMountPoint {
  readonly path: string;
  /** Whether it is empty after the machine stopped, as /run is. */
  readonly volatile?: boolean;
  /** `statfs.f_type`. */
  readonly type?: number;
  readonly totalBytes?: number;
  readonly readOnly?: boolean;
}

/** How much of what was done survives a crash; see `CrashOptions`. */
export type Survival = "all" | "synced" | "synced-bytes-all-names";

const ext4 = 0xef53;
const tebibyte = 2 ** 40;

/** The file systems of a machine in memory, where what is durable is kept apart from what only seems so. */
export class FakeDisk {
  readonly root: FakeInode;
  /** From a directory to the root of the file system that covers it. */
  readonly mounts = new Map<FakeInode, FakeInode>();
  /** Milliseconds since 1970. */
  now: number;
  /** How many random names were given; a restarted machine does not repeat them. */
  namesGiven = 0;
  readonly #mountPoints: readonly FakeMountPoint[];
  #lastInode = 1;
  #fileSystems = 0;

  /** `mountPoints` starts with the one at `/`. */
  constructor(mountPoints: readonly [FakeMountPoint, ...FakeMountPoint[]], now: number) {
    this.now = now;
    this.#mountPoints = mountPoints;
    const [first, ...others] = mountPoints;
    this.root = this.#makeRoot(first);
    for (const other of others) this.#mount(other);
  }

  #makeRoot(options: FakeMountPoint): FakeInode {
    this.#fileSystems += 1;
    const fileSystem: FakeFileSystem = {
      number: this.#fileSystems,
      type: options.type ?? ext4,
      totalBytes: options.totalBytes ?? tebibyte,
      readOnly: options.readOnly ?? false,
      volatile: options.volatile ?? false,
      usedBytes: 0,
      dirty: new Set(),
    };
    const root = this.make(fileSystem, "directory", 0o755);
    root.names = 1;
    syncInode(root);
    return root;
  }

  /** Makes the directories up to the mount point, durable. */
  #mount(options: FakeMountPoint): void {
    let place = this.root;
    for (const part of options.path.split("/").filter((name) => name !== "")) {
      const next = place.entries.get(part as ByteString) ?? this.make(place.fileSystem, "directory", 0o755);
      this.addName(place, part as ByteString, next);
      syncInode(next);
      syncInode(place);
      place = this.mounts.get(next) ?? next;
    }
    this.mounts.set(place, this.#makeRoot(options));
  }

  /** A new inode that has no name yet. */
  make(
    fileSystem: FakeFileSystem,
    kind: FileKind,
    permissions: number,
    special: { readonly target?: ByteString; readonly rdev?: number } = {},
  ): FakeInode {
    const time = { mtimeSeconds: BigInt(Math.floor(this.now / 1000)), mtimeNanoseconds: (this.now % 1000) * 1_000_000 };
    const made: Omit<FakeInode, "parent"> & { parent?: FakeInode } = {
      number: this.#lastInode++,
      fileSystem,
      kind,
      rdev: special.rdev ?? 0,
      target: special.target ?? ("" as ByteString),
      attributes: { permissions, uid: 0, gid: 0, ...time, xattrs: new Map() },
      content: noContent,
      entries: new Map(),
      names: 0,
      damaged: false,
      durable: undefined,
      durableEntries: new Map(),
    };
    return Object.assign(made, { parent: made as FakeInode });
  }

  /** Marks as changed now. */
  touch(inode: FakeInode): void {
    const mtimeSeconds = BigInt(Math.floor(this.now / 1000));
    const mtimeNanoseconds = (this.now % 1000) * 1_000_000;
    inode.attributes = { ...inode.attributes, mtimeSeconds, mtimeNanoseconds };
    inode.fileSystem.dirty.add(inode);
  }

  addName(directory: FakeInode, name: ByteString, inode: FakeInode): void {
    if (directory.entries.get(name) === inode) return;
    directory.entries.set(name, inode);
    inode.names += 1;
    inode.parent = directory;
    inode.fileSystem.dirty.add(inode);
    this.touch(directory);
  }

  removeName(directory: FakeInode, name: ByteString, inode: FakeInode): void {
    directory.entries.delete(name);
    inode.names -= 1;
    // An open file without a name still takes room in life; the fake is kinder.
    if (inode.names === 0) inode.fileSystem.usedBytes -= blockBytes(inode.content.length);
    this.touch(directory);
  }

  /** Makes all of a file system durable. */
  sync(fileSystem: FakeFileSystem): void {
    for (const inode of [...fileSystem.dirty]) syncInode(inode);
  }

  /** A disk of its own that holds what survives, all of it durable. */
  survivor(survival: Survival, volatileToo: boolean): FakeDisk {
    const [first, ...others] = this.#mountPoints;
    if (first === undefined) throw new Error("a disk has a first file system");
    const disk = new FakeDisk([first, ...others], this.now);
    disk.namesGiven = this.namesGiven;
    const copies = new Map<FakeInode, FakeInode>();
    copyDirectory(this.root, disk.root, { disk, survival, copies });
    for (const [place, root] of this.mounts) {
      const to = disk.mounts.get(copies.get(place) ?? place);
      if (to !== undefined && (volatileToo || !root.fileSystem.volatile)) {
        copyDirectory(root, to, { disk, survival, copies });
      }
    }
    for (const root of [disk.root, ...disk.mounts.values()]) disk.sync(root.fileSystem);
    return disk;
  }
}

interface Copying {
  readonly disk: FakeDisk;
  readonly survival: Survival;
  readonly copies: Map<FakeInode, FakeInode>;
}

function copyDirectory(from: FakeInode, to: FakeInode, copying: Copying): void {
  copying.copies.set(from, to);
  const entries = copying.survival === "synced" ? from.durableEntries : from.entries;
  for (const [name, inode] of entries) {
    // A mount point is there already: it was made with the disk.
    const copy = copying.copies.get(inode) ?? to.entries.get(name) ?? copyInode(inode, to.fileSystem, copying);
    copying.disk.addName(to, name, copy);
    if (inode.kind === "directory") copyDirectory(inode, copy, copying);
  }
  to.attributes = survivingAttributes(from, copying.survival);
}

function copyInode(inode: FakeInode, fileSystem: FakeFileSystem, { disk, survival, copies }: Copying): FakeInode {
  const special = { target: inode.target, rdev: inode.rdev };
  const copy = disk.make(fileSystem, inode.kind, inode.attributes.permissions, special);
  copies.set(inode, copy);
  const content = survival === "all" ? inode.content : (inode.durable?.content ?? noContent);
  copy.attributes = survivingAttributes(inode, survival);
  copy.content = { bytes: content.bytes.slice(0, content.length), length: content.length };
  copy.damaged = inode.damaged;
  fileSystem.usedBytes += blockBytes(content.length);
  return copy;
}

function survivingAttributes(inode: FakeInode, survival: Survival): FakeInode["attributes"] {
  if (survival !== "synced") return inode.attributes;
  return inode.durable?.attributes ?? attributesAtFirst(inode);
}
