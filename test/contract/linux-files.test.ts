import { mkdtempSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type ByteString, fromBytes, fromText, toBytes } from "../../src/core/bytes/byte-string.ts";
import { verityDigest } from "../../src/core/digest/fs-verity.ts";
import { OsdeployError } from "../../src/core/errors.ts";
import type { FileKind, Linux, LinuxFiles, Path } from "../../src/linux/linux.ts";
import { openLinux } from "../../src/linux/live-linux.ts";
import { FakeLinux } from "../fakes/fake-linux.ts";

interface Machine {
  readonly linux: Linux;
  readonly root: string;
  readonly end: () => void;
}

const implementations: readonly { readonly name: string; readonly start: () => Machine }[] = [
  {
    name: "live",
    start: () => {
      const root = realpathSync(mkdtempSync(join(tmpdir(), "osdeploy-files-")));
      return { linux: openLinux(), root, end: () => rmSync(root, { recursive: true, force: true }) };
    },
  },
  {
    name: "fake",
    start: () => {
      const linux = new FakeLinux({ verity: false });
      linux.files.makeDirectory(fromText("/work"), 0o755);
      return { linux, root: "/work", end: () => expect(linux.openPaths).toEqual([]) };
    },
  },
];

const isRoot = process.getuid?.() === 0;
/** Bytes that are neither ASCII nor UTF-8. */
const oddName = fromBytes(Uint8Array.of(0x61, 0xff, 0x0a, 0xc3));

/** The code and the errno of the error that `action` throws. */
function failure(action: () => unknown): { code: string; errno: unknown; message: string } {
  try {
    action();
  } catch (error) {
    if (!(error instanceof OsdeployError)) throw error;
    const { errno } = error.facts;
    return { code: error.code, errno, message: error.message };
  }
  throw new Error("Nothing was thrown");
}

describe.each(implementations)("$name Linux", ({ start }) => {
  let machine: Machine;
  let files: LinuxFiles;
  const at = (name: string): Path => fromText(`${machine.root}/${name}`);
  const write = (name: string, text: string, permissions = 0o644) =>
    files.writeNewFile(at(name), toBytes(fromText(text)), permissions);
  const text = (name: string) => fromBytes(files.readFile(at(name), 1_000_000));

  beforeEach(() => {
    machine = start();
    files = machine.linux.files;
  });
  afterEach(() => machine.end());

  describe("open files", () => {
    test("writeNewFile: makes a file with exactly these bytes and permissions, whatever the umask", () => {
      write("new", "content", 0o666);
      expect(text("new")).toBe("content");
      expect(files.lstat(at("new"))).toMatchObject({
        kind: "regular",
        permissions: 0o666,
        sizeBytes: 7,
        nlink: 1,
        rdev: 0,
      });
    });

    test("writeNewFile: holds more than one write can take", () => {
      const bytes = new Uint8Array(3_000_001).map((_, at) => at % 251);
      files.writeNewFile(at("large"), bytes, 0o600);
      expect(Buffer.compare(files.readFile(at("large"), 4_000_000), bytes)).toBe(0);
    });

    test("writeNewFile: takes its own copy of the bytes", () => {
      const window = new Uint8Array(5000).fill(1);
      files.writeNewFile(at("a"), window.subarray(0, 4100), 0o600);
      window.fill(2);
      expect(files.readFile(at("a"), 5000).every((byte) => byte === 1)).toBe(true);
      expect(files.lstat(at("a")).sizeBytes).toBe(4100);
    });

    test("writeNewFile: refuses a taken name, even that of a dangling symlink", () => {
      write("taken", "old");
      files.symlink(fromText("nowhere"), at("dangling"));
      expect(failure(() => write("taken", "new"))).toEqual({
        code: "already-exists",
        errno: "EEXIST",
        message: `Cannot write "${machine.root}/taken": it already exists (EEXIST)`,
      });
      expect(failure(() => write("dangling", "new")).errno).toBe("EEXIST");
      expect(text("taken")).toBe("old");
    });

    test("open: creates with exactly these permissions, and gives a handle to write and read", () => {
      const fd = files.open(at("new"), "create", 0o666);
      files.write(fd, toBytes(fromText("hello ")));
      files.write(fd, toBytes(fromText("world")));
      const target = new Uint8Array(20);
      expect(files.read(fd, target, { offset: 2, length: 5, position: 6 })).toBe(5);
      expect(fromBytes(target, 0, 8)).toBe("\0\0world\0");
      expect(files.fstat(fd)).toEqual(files.lstat(at("new")));
      expect(files.fstat(fd).permissions).toBe(0o666);
      files.close(fd);
    });

    test("open: its errors name the path and the reason", () => {
      write("file", "");
      files.symlink(fromText("file"), at("link"));
      expect(failure(() => files.open(at("none"), "read")).message).toBe(
        `Cannot open "${machine.root}/none": it does not exist (ENOENT)`,
      );
      expect(failure(() => files.open(at("file/below"), "read")).code).toBe("not-found");
      expect(failure(() => files.open(at("file"), "create")).message).toBe(
        `Cannot create "${machine.root}/file": it already exists (EEXIST)`,
      );
      expect(failure(() => files.open(at("file"), "directory")).errno).toBe("ENOTDIR");
      expect(failure(() => files.open(at("link"), "read"))).toMatchObject({ code: "system", errno: "ELOOP" });
      expect(failure(() => files.open(at("link"), "append")).errno).toBe("ELOOP");
      expect(failure(() => files.open(fromText(machine.root), "append")).errno).toBe("EISDIR");
    });

    test("open: does not wait for the other end of a FIFO", () => {
      files.makeNode(at("fifo"), "fifo", { permissions: 0o600, rdev: 0 });
      const fd = files.open(at("fifo"), "read");
      expect(files.fstat(fd).kind).toBe("fifo");
      files.close(fd);
    });

    test("open: appends behind what is there", () => {
      write("log", "one");
      const fd = files.open(at("log"), "append");
      files.write(fd, toBytes(fromText("two")));
      const target = new Uint8Array(3);
      expect(failure(() => files.read(fd, target, { offset: 0, length: 3 })).errno).toBe("EBADF");
      files.close(fd);
      expect(text("log")).toBe("onetwo");
    });

    test("read: goes on where it stopped, and gives 0 at the end", () => {
      write("file", "abcdef");
      const fd = files.open(at("file"), "read");
      const target = new Uint8Array(10);
      expect(files.read(fd, target, { offset: 0, length: 4 })).toBe(4);
      expect(files.read(fd, target, { offset: 4, length: 6 })).toBe(2);
      expect(files.read(fd, target, { offset: 0, length: 6 })).toBe(0);
      expect(fromBytes(target, 0, 6)).toBe("abcdef");
      expect(failure(() => files.write(fd, target)).errno).toBe("EBADF");
      files.close(fd);
    });

    test("read: a directory is no file", () => {
      const fd = files.open(fromText(machine.root), "directory");
      const target = new Uint8Array(10);
      expect(failure(() => files.read(fd, target, { offset: 0, length: 1 }))).toMatchObject({
        errno: "EISDIR",
        message: `Cannot read "${machine.root}": it is a directory (EISDIR)`,
      });
      files.close(fd);
    });

    test("close: the descriptor is of no use afterwards", () => {
      write("file", "abc");
      const fd = files.open(at("file"), "read");
      files.close(fd);
      for (const action of [() => files.close(fd), () => files.fstat(fd), () => files.sync(fd)]) {
        expect(failure(action).errno).toBe("EBADF");
      }
      expect(failure(() => files.syncFileSystem(fd)).message).toBe(
        `Cannot sync the file system of "file descriptor ${fd}": bad file descriptor (EBADF)`,
      );
      expect(failure(() => files.lock(fd, "shared", { wait: false })).errno).toBe("EBADF");
    });

    test("readFile: gives the whole file up to the limit, and refuses more", () => {
      write("empty", "");
      write("ten", "0123456789");
      expect(files.readFile(at("empty"), 0).length).toBe(0);
      expect(fromBytes(files.readFile(at("ten"), 10))).toBe("0123456789");
      expect(failure(() => files.readFile(at("ten"), 9))).toMatchObject({
        code: "limit-exceeded",
        message: `Cannot read "${machine.root}/ten": it is longer than 9 bytes`,
      });
      expect(failure(() => files.readFile(fromText(machine.root), 9)).errno).toBe("EISDIR");
      expect(failure(() => files.readFile(at("none"), 9)).code).toBe("not-found");
    });

    test("sync: takes files and directories, also one that lost its name", () => {
      const fd = files.open(at("file"), "create");
      files.sync(fd);
      files.syncFileSystem(fd);
      files.unlink(at("file"));
      files.sync(fd);
      files.close(fd);
      const directory = files.open(fromText(machine.root), "directory");
      files.sync(directory);
      files.close(directory);
    });

    test("lock: an exclusive one keeps others out until its handle is closed", () => {
      const [one, two] = [files.open(at("lock"), "create"), files.open(at("lock"), "read")];
      expect(files.lock(one, "exclusive", { wait: true })).toBe(true);
      expect(files.lock(two, "exclusive", { wait: false })).toBe(false);
      expect(files.lock(two, "shared", { wait: false })).toBe(false);
      files.close(one);
      expect(files.lock(two, "exclusive", { wait: false })).toBe(true);
      files.close(two);
    });

    test("lock: shared ones live together, and one handle can change its own", () => {
      const [one, two] = [files.open(at("lock"), "create"), files.open(at("lock"), "read")];
      expect(files.lock(one, "shared", { wait: false })).toBe(true);
      expect(files.lock(two, "shared", { wait: false })).toBe(true);
      expect(files.lock(one, "exclusive", { wait: false })).toBe(false);
      files.close(two);
      expect(files.lock(one, "exclusive", { wait: false })).toBe(true);
      files.close(one);
    });
  });

  describe("names", () => {
    test("readDirectory: gives all names in byte order, without . and .., bytes untouched", () => {
      files.makeDirectory(at("d"), 0o755);
      for (const name of ["b", "a", "B", ".hidden", oddName]) {
        files.writeNewFile(`${at("d")}/${name}` as ByteString, new Uint8Array(), 0o600);
      }
      expect(files.readDirectory(at("d"))).toEqual([".hidden", "B", "a", oddName, "b"]);
      expect(failure(() => files.readDirectory(at("d/a")))).toMatchObject({ code: "not-found", errno: "ENOTDIR" });
      expect(failure(() => files.readDirectory(at("none"))).message).toBe(
        `Cannot read the directory "${machine.root}/none": it does not exist (ENOENT)`,
      );
    });

    test("symlink: keeps its target's bytes, exists or not", () => {
      files.symlink(oddName, at("link"));
      expect(files.readLink(at("link"))).toBe(oddName);
      expect(files.lstat(at("link"))).toMatchObject({ kind: "symlink", sizeBytes: 4, nlink: 1 });
      expect(failure(() => files.symlink(oddName, at("link"))).errno).toBe("EEXIST");
      expect(failure(() => files.symlink(fromText(""), at("empty"))).errno).toBe("ENOENT");
      write("file", "");
      expect(failure(() => files.readLink(at("file"))).errno).toBe("EINVAL");
      expect(failure(() => files.readLink(at("none"))).errno).toBe("ENOENT");
    });

    test("symlink: is followed on the way, not at the end, and not in circles", () => {
      files.makeDirectory(at("d"), 0o755);
      write("d/file", "there");
      files.symlink(fromText("d"), at("link"));
      files.symlink(fromText(`${machine.root}/link/./../d`), at("absolute"));
      files.symlink(fromText("circle"), at("circle"));
      expect(text("link/file")).toBe("there");
      expect(text("absolute/file")).toBe("there");
      expect(files.readDirectory(at("link"))).toEqual(["file"]);
      expect(files.lstat(at("link/")).kind).toBe("directory");
      expect(failure(() => files.lstat(at("circle/x"))).errno).toBe("ELOOP");
      expect(files.lstat(at("circle")).kind).toBe("symlink");
      files.close(files.open(at("link"), "directory"));
    });

    test("makeDirectory: gives exactly these permissions, whatever the umask", () => {
      files.makeDirectory(at("open"), 0o1777);
      expect(files.lstat(at("open"))).toMatchObject({ kind: "directory", permissions: 0o1777 });
      files.makeDirectory(at("group"), 0o2750);
      expect(files.lstat(at("group")).permissions).toBe(0o2750);
      expect(failure(() => files.makeDirectory(at("open"), 0o755))).toMatchObject({ code: "already-exists" });
      expect(failure(() => files.makeDirectory(at("none/x"), 0o755))).toMatchObject({ code: "not-found" });
    });

    test("removeDirectory: removes empty directories only", () => {
      files.makeDirectory(at("d"), 0o755);
      write("d/file", "");
      expect(failure(() => files.removeDirectory(at("d")))).toMatchObject({
        code: "already-exists",
        errno: "ENOTEMPTY",
      });
      expect(failure(() => files.removeDirectory(at("d/file"))).errno).toBe("ENOTDIR");
      files.unlink(at("d/file"));
      files.removeDirectory(at("d"));
      expect(files.lstatIfExists(at("d"))).toBeUndefined();
      expect(failure(() => files.removeDirectory(at("d"))).errno).toBe("ENOENT");
    });

    test("unlink: takes one name; the bytes live on under others and in open handles", () => {
      write("one", "bytes");
      files.link(at("one"), at("two"));
      expect(files.lstat(at("two")).nlink).toBe(2);
      expect(files.lstat(at("two")).identity).toBe(files.lstat(at("one")).identity);
      files.unlink(at("one"));
      expect(text("two")).toBe("bytes");
      const fd = files.open(at("two"), "read");
      files.unlink(at("two"));
      expect(files.fstat(fd)).toMatchObject({ nlink: 0, sizeBytes: 5 });
      files.close(fd);
      expect(failure(() => files.unlink(at("two"))).errno).toBe("ENOENT");
      files.makeDirectory(at("d"), 0o755);
      expect(failure(() => files.unlink(at("d"))).errno).toBe("EISDIR");
    });

    test("link: refuses taken names and directories, and links a symlink itself", () => {
      write("one", "");
      files.symlink(fromText("nowhere"), at("link"));
      files.link(at("link"), at("same"));
      expect(files.readLink(at("same"))).toBe("nowhere");
      expect(failure(() => files.link(at("one"), at("link"))).message).toBe(
        `Cannot link "${machine.root}/one" to "${machine.root}/link": it already exists (EEXIST)`,
      );
      expect(failure(() => files.link(fromText(machine.root), at("root"))).errno).toBe("EPERM");
      expect(failure(() => files.link(at("none"), at("x"))).errno).toBe("ENOENT");
    });

    test("rename: moves, and replaces a file that has the name", () => {
      write("a", "new");
      write("b", "old");
      files.makeDirectory(at("d"), 0o755);
      files.rename(at("a"), at("b"));
      expect(text("b")).toBe("new");
      files.rename(at("b"), at("d/c"));
      expect(text("d/c")).toBe("new");
      expect(files.readDirectory(fromText(machine.root))).toEqual(["d"]);
    });

    test("rename: with replace false leaves what has the name", () => {
      write("a", "new");
      write("b", "old");
      const taken = failure(() => files.rename(at("a"), at("b"), { replace: false }));
      expect(taken).toEqual({
        code: "already-exists",
        errno: "EEXIST",
        message: `Cannot rename "${machine.root}/a" to "${machine.root}/b": it already exists (EEXIST)`,
      });
      expect([text("a"), text("b")]).toEqual(["new", "old"]);
      files.rename(at("a"), at("c"), { replace: false });
      expect(text("c")).toBe("new");
      expect(failure(() => files.rename(at("a"), at("x"), { replace: false })).errno).toBe("ENOENT");
    });

    test("rename: keeps to the rules for directories", () => {
      write("file", "");
      for (const name of ["empty", "full", "full/inner"]) files.makeDirectory(at(name), 0o755);
      expect(failure(() => files.rename(at("file"), at("full"))).errno).toBe("EISDIR");
      expect(failure(() => files.rename(at("full"), at("file"))).errno).toBe("ENOTDIR");
      expect(failure(() => files.rename(at("empty"), at("full")))).toMatchObject({ errno: "ENOTEMPTY" });
      expect(failure(() => files.rename(at("full"), at("full/inner/x"))).errno).toBe("EINVAL");
      files.rename(at("full"), at("empty"));
      expect(files.readDirectory(at("empty"))).toEqual(["inner"]);
      expect(failure(() => files.rename(at("none"), at("x"))).errno).toBe("ENOENT");
    });

    test("rename: of one name of a file over another name of it changes nothing", () => {
      write("a", "x");
      files.link(at("a"), at("b"));
      files.rename(at("a"), at("b"));
      expect(files.readDirectory(fromText(machine.root))).toEqual(["a", "b"]);
    });

    test("paths: refuse NUL, overlong names and nothing at all", () => {
      const nul = fromText(`${machine.root}/a\0b`);
      for (const action of [
        () => files.lstat(nul),
        () => files.writeNewFile(nul, new Uint8Array(), 0o600),
        () => files.symlink(nul, at("x")),
        () => files.rename(at("x"), nul, { replace: false }),
        () => files.xattrs(nul),
      ]) {
        expect(failure(action)).toMatchObject({ code: "bad-format", message: expect.stringContaining("NUL byte") });
      }
      expect(failure(() => files.lstat(at("n".repeat(256)))).errno).toBe("ENAMETOOLONG");
      expect(failure(() => files.open(fromText(`/${"n/".repeat(2100)}`), "read")).errno).toBe("ENAMETOOLONG");
      expect(failure(() => files.lstat(fromText(""))).errno).toBe("ENOENT");
      write("file", "");
      expect(failure(() => files.lstat(at("file/"))).errno).toBe("ENOTDIR");
    });
  });

  describe("attributes", () => {
    test("lstatIfExists: is undefined only where there is nothing", () => {
      write("file", "");
      expect(files.lstatIfExists(at("none"))).toBeUndefined();
      expect(files.lstatIfExists(at("file/below"))).toBeUndefined();
      expect(files.lstatIfExists(at("file"))?.kind).toBe("regular");
      expect(failure(() => files.lstat(at("none"))).message).toBe(
        `Cannot read the metadata of "${machine.root}/none": it does not exist (ENOENT)`,
      );
      expect(failure(() => files.lstatIfExists(at("n".repeat(256)))).errno).toBe("ENAMETOOLONG");
    });

    test("lstat: two files are never the same one", () => {
      write("a", "");
      write("b", "");
      expect(files.lstat(at("a")).identity).not.toBe(files.lstat(at("b")).identity);
    });

    test("setPermissions: sets all twelve bits, and refuses symlinks", () => {
      write("file", "", 0o600);
      files.symlink(fromText("file"), at("link"));
      files.setPermissions(at("file"), 0o4755);
      expect(files.lstat(at("file")).permissions).toBe(0o4755);
      expect(failure(() => files.setPermissions(at("link"), 0o777))).toMatchObject({ code: "unsupported" });
      expect(files.lstat(at("file")).permissions).toBe(0o4755);
      expect(failure(() => files.setPermissions(at("none"), 0o777)).code).toBe("not-found");
    });

    test.skipIf(!isRoot)("setOwner: sets both, of the link itself for symlinks (needs root)", () => {
      write("file", "");
      files.symlink(fromText("file"), at("link"));
      files.setOwner(at("link"), 1234, 3_000_000_000);
      expect(files.lstat(at("link"))).toMatchObject({ uid: 1234, gid: 3_000_000_000 });
      expect(files.lstat(at("file"))).toMatchObject({ uid: 0, gid: 0 });
      expect(failure(() => files.setOwner(at("none"), 0, 0)).code).toBe("not-found");
    });

    test.each([
      [1_700_000_000n, 123_456_789],
      [0n, 0],
      [-1n, 999_999_999],
      [-2_000_000_000n, 1],
      [4_294_967_296n, 5],
    ])("setTime: %s s and %s ns come back exactly", (seconds, nanoseconds) => {
      write("file", "");
      files.setTime(at("file"), seconds, nanoseconds);
      expect(files.lstat(at("file"))).toMatchObject({ mtimeSeconds: seconds, mtimeNanoseconds: nanoseconds });
    });

    test("setTime: sets that of the link itself for symlinks", () => {
      write("file", "");
      files.symlink(fromText("file"), at("link"));
      const before = files.lstat(at("file"));
      files.setTime(at("link"), 5n, 6);
      expect(files.lstat(at("link"))).toMatchObject({ mtimeSeconds: 5n, mtimeNanoseconds: 6 });
      expect(files.lstat(at("file"))).toEqual(before);
      expect(failure(() => files.setTime(at("file"), 0n, 1_000_000_000)).errno).toBe("EINVAL");
      expect(failure(() => files.setTime(at("none"), 0n, 0)).code).toBe("not-found");
    });

    const nodes: readonly (readonly [FileKind, number])[] = [
      ["fifo", 0],
      ["socket", 0],
      ["character-device", 0],
      ["character-device", 0x0103],
      ["block-device", 0x12300fff],
    ];
    test.skipIf(!isRoot).each(nodes)("makeNode: a %s with rdev %i (needs root)", (kind, rdev) => {
      files.makeNode(at("node"), kind, { permissions: 0o666, rdev });
      expect(files.lstat(at("node"))).toMatchObject({ kind, rdev, permissions: 0o666 });
      expect(failure(() => files.makeNode(at("node"), kind, { permissions: 0, rdev })).code).toBe("already-exists");
    });

    test("makeNode: is not for directories and symlinks", () => {
      const options = { permissions: 0o600, rdev: 0 };
      expect(() => files.makeNode(at("d"), "directory", options)).toThrow(/calls of their own/);
      expect(() => files.makeNode(at("l"), "symlink", options)).toThrow(/calls of their own/);
    });

    test("xattrs: keep their bytes, and are none at first", () => {
      write("file", "");
      expect(files.xattrs(at("file")).size).toBe(0);
      const value = fromBytes(Uint8Array.of(0, 1, 0xff, 0x0a, 0));
      files.setXattr(at("file"), fromText("user.one"), value);
      files.setXattr(at("file"), fromText("user.empty"), fromText(""));
      files.setXattr(at("file"), fromText("user.one"), value);
      const expected = [["user.empty", ""] as const, ["user.one", value] as const];
      expect([...files.xattrs(at("file"))].sort()).toEqual(expected);
    });

    test("xattrs: errors say which attribute and which file", () => {
      files.symlink(fromText("x"), at("link"));
      expect(failure(() => files.xattrs(at("none"))).message).toBe(
        `Cannot list the attributes of "${machine.root}/none": it does not exist (ENOENT)`,
      );
      expect(failure(() => files.setXattr(at("none"), fromText("user.a"), fromText("")))).toMatchObject({
        code: "not-found",
        message: `Cannot set the attribute user.a of "${machine.root}/none": it does not exist (ENOENT)`,
      });
      expect(failure(() => files.setXattr(at("link"), fromText("user.a"), fromText(""))).errno).toBe("EPERM");
      write("file", "");
      expect(failure(() => files.setXattr(at("file"), fromText("nowhere.a"), fromText("")))).toMatchObject({
        code: "unsupported",
      });
    });

    test.skipIf(!isRoot)("xattrs: are those of the link itself for symlinks (needs root)", () => {
      write("file", "");
      files.symlink(fromText("file"), at("link"));
      files.setXattr(at("link"), fromText("trusted.t"), fromText("v"));
      expect([...files.xattrs(at("link"))]).toEqual([["trusted.t", "v"]]);
      expect(files.xattrs(at("file")).size).toBe(0);
    });

    test("space: tells what is free, and what kind of file system it is", () => {
      const space = files.space(fromText(machine.root));
      expect(space.totalBytes).toBeGreaterThan(1_000_000);
      expect(space.availableBytes).toBeGreaterThan(0);
      expect(space.availableBytes).toBeLessThanOrEqual(space.totalBytes);
      expect(space.availableInodes).toBeGreaterThan(0);
      expect(space.readOnly).toBe(false);
      expect(space.type).toBeGreaterThan(0);
      expect(failure(() => files.space(at("none"))).code).toBe("not-found");
    });

    test("cloneFile: answers false and leaves nothing where the file system cannot, or makes a true copy", () => {
      write("source", "bytes");
      const could = files.cloneFile(at("source"), at("copy"), 0o600);
      expect(files.lstatIfExists(at("copy"))?.sizeBytes).toBe(could ? 5 : undefined);
      write("taken", "old");
      expect(failure(() => files.cloneFile(at("source"), at("taken"), 0o600)).code).toBe("already-exists");
      expect(text("taken")).toBe("old");
      expect(failure(() => files.cloneFile(at("none"), at("x"), 0o600)).code).toBe("not-found");
    });

    test("verity: without the kernel's help sealing answers false and measuring nothing; with it, the digest", () => {
      write("file", "bytes");
      const digest = verityDigest("sha256", toBytes(fromText("bytes")));
      const sealed = files.enableVerity(at("file"), "sha256");
      expect(files.measureVerity(at("file"), "sha256")).toBe(sealed ? digest : undefined);
      expect(files.measureVerity(at("file"), "sha512")).toBeUndefined();
      expect(failure(() => files.enableVerity(at("none"), "sha256")).code).toBe("not-found");
      expect(failure(() => files.measureVerity(at("none"), "sha256")).code).toBe("not-found");
    });
  });

  test("clock: random names are 16 hex digits, and differ", () => {
    const { clock } = machine.linux;
    const names = Array.from({ length: 100 }, () => clock.randomName());
    for (const name of names) expect(name).toMatch(/^[0-9a-f]{16}$/);
    expect(new Set(names).size).toBe(100);
    expect(clock.now()).toBeGreaterThan(1_600_000_000_000);
  });
});
