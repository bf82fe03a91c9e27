import { describe, expect, test } from "vitest";
import { fromBytes, fromText, toBytes } from "../../src/core/bytes/byte-string.ts";
import { failure, implementations, MachineOfTest } from "../builders/linux-machines.ts";

describe.each(implementations)("$name Linux", ({ start }) => {
  const here = new MachineOfTest(start);
  const { at, text, write } = here;

  test("writeNewFile: makes a file with exactly these bytes and permissions, whatever the umask", () => {
    write("new", "content", 0o666);
    expect(text("new")).toBe("content");
    expect(here.files.lstat(at("new"))).toMatchObject({
      kind: "regular",
      permissions: 0o666,
      sizeBytes: 7,
      nlink: 1,
      rdev: 0,
    });
  });

  test("writeNewFile: holds more than one write can take", () => {
    const bytes = new Uint8Array(3_000_001).map((_, at) => at % 251);
    here.files.writeNewFile(at("large"), bytes, 0o600);
    expect(Buffer.compare(here.files.readFile(at("large"), 4_000_000), bytes)).toBe(0);
  });

  test("writeNewFile: takes its own copy of the bytes", () => {
    const window = new Uint8Array(5000).fill(1);
    here.files.writeNewFile(at("a"), window.subarray(0, 4100), 0o600);
    window.fill(2);
    expect(here.files.readFile(at("a"), 5000).every((byte) => byte === 1)).toBe(true);
    expect(here.files.lstat(at("a")).sizeBytes).toBe(4100);
  });

  test("writeNewFile: refuses a taken name, even that of a dangling symlink", () => {
    write("taken", "old");
    here.files.symlink(fromText("nowhere"), at("dangling"));
    expect(failure(() => write("taken", "new"))).toEqual({
      code: "already-exists",
      errno: "EEXIST",
      message: `Cannot write "${here.machine.root}/taken": it already exists (EEXIST)`,
    });
    expect(failure(() => write("dangling", "new")).errno).toBe("EEXIST");
    expect(text("taken")).toBe("old");
  });

  test("readStart: gives the first bytes of a file, and how many it has of those wanted", () => {
    write("file", "content");
    const target = new Uint8Array(10).fill(0x2e);
    expect(here.files.readStart(at("file"), target, 4)).toBe(4);
    expect(Buffer.from(target).toString()).toBe("cont......");
    expect(here.files.readStart(at("file"), target, 10)).toBe(7);
    expect(Buffer.from(target).toString()).toBe("content...");
    write("empty", "");
    expect(here.files.readStart(at("empty"), target, 10)).toBe(0);
  });

  test("readStart: refuses what is no file, and follows no symlink", () => {
    const target = new Uint8Array(1);
    expect(failure(() => here.files.readStart(at("absent"), target, 1)).code).toBe("not-found");
    here.files.makeDirectory(at("directory"), 0o755);
    expect(failure(() => here.files.readStart(at("directory"), target, 1)).errno).toBe("EISDIR");
    write("file", "content");
    here.files.symlink(fromText("file"), at("link"));
    expect(failure(() => here.files.readStart(at("link"), target, 1)).errno).toBe("ELOOP");
  });

  test("open: creates with exactly these permissions, and gives a handle to write and read", () => {
    const fd = here.files.open(at("new"), "create", 0o666);
    here.files.write(fd, toBytes(fromText("hello ")));
    here.files.write(fd, toBytes(fromText("world")));
    const target = new Uint8Array(20);
    expect(here.files.read(fd, target, { offset: 2, length: 5, position: 6 })).toBe(5);
    expect(fromBytes(target, 0, 8)).toBe("\0\0world\0");
    expect(here.files.fstat(fd)).toEqual(here.files.lstat(at("new")));
    expect(here.files.fstat(fd).permissions).toBe(0o666);
    here.files.close(fd);
  });

  test("open: its errors name the path and the reason", () => {
    write("file", "");
    here.files.symlink(fromText("file"), at("link"));
    expect(failure(() => here.files.open(at("none"), "read")).message).toBe(
      `Cannot open "${here.machine.root}/none": it does not exist (ENOENT)`,
    );
    expect(failure(() => here.files.open(at("file/below"), "read")).code).toBe("not-found");
    expect(failure(() => here.files.open(at("file"), "create")).message).toBe(
      `Cannot create "${here.machine.root}/file": it already exists (EEXIST)`,
    );
    expect(failure(() => here.files.open(at("file"), "directory")).errno).toBe("ENOTDIR");
    expect(failure(() => here.files.open(at("link"), "read"))).toMatchObject({ code: "system", errno: "ELOOP" });
    expect(failure(() => here.files.open(at("link"), "append")).errno).toBe("ELOOP");
    expect(failure(() => here.files.open(fromText(here.machine.root), "append")).errno).toBe("EISDIR");
  });

  test("open: what a user named is read through symlinks", () => {
    write("file", "text");
    here.files.symlink(fromText("file"), at("link"));
    const fd = here.files.open(at("link"), "input");
    const target = new Uint8Array(8);
    expect(here.files.read(fd, target, { offset: 0, length: 8 })).toBe(4);
    expect(failure(() => here.files.write(fd, target)).errno).toBe("EBADF");
    here.files.close(fd);
    expect(failure(() => here.files.open(at("none"), "input")).errno).toBe("ENOENT");
  });

  test("open: does not wait for the other end of a FIFO", () => {
    here.files.makeNode(at("fifo"), "fifo", { permissions: 0o600, rdev: 0 });
    const fd = here.files.open(at("fifo"), "read");
    expect(here.files.fstat(fd).kind).toBe("fifo");
    here.files.close(fd);
  });

  test("open: appends behind what is there", () => {
    write("log", "one");
    const fd = here.files.open(at("log"), "append");
    here.files.write(fd, toBytes(fromText("two")));
    const target = new Uint8Array(3);
    expect(failure(() => here.files.read(fd, target, { offset: 0, length: 3 })).errno).toBe("EBADF");
    here.files.close(fd);
    expect(text("log")).toBe("onetwo");
  });

  test("read: goes on where it stopped, and gives 0 at the end", () => {
    write("file", "abcdef");
    const fd = here.files.open(at("file"), "read");
    const target = new Uint8Array(10);
    expect(here.files.read(fd, target, { offset: 0, length: 4 })).toBe(4);
    expect(here.files.read(fd, target, { offset: 4, length: 6 })).toBe(2);
    expect(here.files.read(fd, target, { offset: 0, length: 6 })).toBe(0);
    expect(fromBytes(target, 0, 6)).toBe("abcdef");
    expect(failure(() => here.files.write(fd, target)).errno).toBe("EBADF");
    here.files.close(fd);
  });

  test("read: a directory is no file", () => {
    const fd = here.files.open(fromText(here.machine.root), "directory");
    const target = new Uint8Array(10);
    expect(failure(() => here.files.read(fd, target, { offset: 0, length: 1 }))).toMatchObject({
      errno: "EISDIR",
      message: `Cannot read "${here.machine.root}": it is a directory (EISDIR)`,
    });
    here.files.close(fd);
  });

  test("writeAt: writes at any place of an existing file, and what is between reads as zeros", () => {
    write("file", "abcdef");
    const fd = here.files.open(at("file"), "update");
    here.files.writeAt(fd, toBytes(fromText("XY")), 2);
    here.files.writeAt(fd, toBytes(fromText("end")), 8);
    const target = new Uint8Array(4);
    expect(here.files.read(fd, target, { offset: 0, length: 4, position: 0 })).toBe(4);
    expect(fromBytes(target)).toBe("abXY");
    here.files.close(fd);
    expect(text("file")).toBe("abXYef\0\0end");
  });

  test("writeAt: needs a file that is open for it", () => {
    write("file", "abc");
    const fd = here.files.open(at("file"), "read");
    expect(failure(() => here.files.writeAt(fd, new Uint8Array(1), 0)).errno).toBe("EBADF");
    expect(failure(() => here.files.setSize(fd, 1)).errno).toBe("EINVAL");
    here.files.close(fd);
    expect(failure(() => here.files.writeAt(fd, new Uint8Array(1), 0)).errno).toBe("EBADF");
  });

  test("setSize: cuts a file, or makes it longer by zeros", () => {
    write("file", "abcdef");
    const fd = here.files.open(at("file"), "update");
    here.files.setSize(fd, 3);
    expect(text("file")).toBe("abc");
    here.files.setSize(fd, 5);
    expect(text("file")).toBe("abc\0\0");
    here.files.close(fd);
  });

  test("open: for update takes only what is there, and no link", () => {
    write("file", "");
    here.files.symlink(fromText("file"), at("link"));
    expect(failure(() => here.files.open(at("none"), "update")).errno).toBe("ENOENT");
    expect(failure(() => here.files.open(at("link"), "update")).errno).toBe("ELOOP");
    expect(failure(() => here.files.open(fromText(here.machine.root), "update")).errno).toBe("EISDIR");
  });

  test("close: the descriptor is of no use afterwards", () => {
    write("file", "abc");
    const fd = here.files.open(at("file"), "read");
    here.files.close(fd);
    for (const action of [() => here.files.close(fd), () => here.files.fstat(fd), () => here.files.sync(fd)]) {
      expect(failure(action).errno).toBe("EBADF");
    }
    expect(failure(() => here.files.syncFileSystem(fd)).message).toBe(
      `Cannot sync the file system of "file descriptor ${fd}": bad file descriptor (EBADF)`,
    );
    expect(failure(() => here.files.lock(fd, "shared", { wait: false })).errno).toBe("EBADF");
  });

  test("readFile: gives the whole file up to the limit, and refuses more", () => {
    write("empty", "");
    write("ten", "0123456789");
    expect(here.files.readFile(at("empty"), 0).length).toBe(0);
    expect(fromBytes(here.files.readFile(at("ten"), 10))).toBe("0123456789");
    expect(failure(() => here.files.readFile(at("ten"), 9))).toMatchObject({
      code: "limit-exceeded",
      message: `Cannot read "${here.machine.root}/ten": it is longer than 9 bytes`,
    });
    expect(failure(() => here.files.readFile(fromText(here.machine.root), 9)).errno).toBe("EISDIR");
    expect(failure(() => here.files.readFile(at("none"), 9)).code).toBe("not-found");
  });

  test("sync: takes files and directories, also one that lost its name", () => {
    const fd = here.files.open(at("file"), "create");
    here.files.sync(fd);
    here.files.syncFileSystem(fd);
    here.files.unlink(at("file"));
    here.files.sync(fd);
    here.files.close(fd);
    const directory = here.files.open(fromText(here.machine.root), "directory");
    here.files.sync(directory);
    here.files.close(directory);
  });

  test("lock: an exclusive one keeps others out until its handle is closed", () => {
    const [one, two] = [here.files.open(at("lock"), "create"), here.files.open(at("lock"), "read")];
    expect(here.files.lock(one, "exclusive", { wait: true })).toBe(true);
    expect(here.files.lock(two, "exclusive", { wait: false })).toBe(false);
    expect(here.files.lock(two, "shared", { wait: false })).toBe(false);
    here.files.close(one);
    expect(here.files.lock(two, "exclusive", { wait: false })).toBe(true);
    here.files.close(two);
  });

  test("lock: shared ones live together, and one handle can change its own", () => {
    const [one, two] = [here.files.open(at("lock"), "create"), here.files.open(at("lock"), "read")];
    expect(here.files.lock(one, "shared", { wait: false })).toBe(true);
    expect(here.files.lock(two, "shared", { wait: false })).toBe(true);
    expect(here.files.lock(one, "exclusive", { wait: false })).toBe(false);
    here.files.close(two);
    expect(here.files.lock(one, "exclusive", { wait: false })).toBe(true);
    here.files.close(one);
  });
});
