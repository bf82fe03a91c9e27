import { describe, expect, test } from "vitest";
import { type ByteString, fromBytes, fromText, toBytes } from "../../src/core/bytes/byte-string.ts";
import { verityDigest } from "../../src/core/digest/fs-verity.ts";
import { OsdeployError } from "../../src/core/errors.ts";
import type { Path } from "../../src/linux/linux.ts";
import { type CrashOptions, FakeLinux, type FakeLinuxOptions, SimulatedCrash } from "../fakes/fake-linux.ts";

const path = (text: string): Path => fromText(text);
const bytes = (text: string) => toBytes(fromText(text));
const lost: CrashOptions = { keepUnsynced: false };
const namesKept: CrashOptions = { keepUnsynced: false, names: "kept" };
const kept: CrashOptions = { keepUnsynced: true };

function syncAll(linux: FakeLinux, where = "/"): void {
  const fd = linux.files.open(path(where), "directory");
  linux.files.syncFileSystem(fd);
  linux.files.close(fd);
}

function syncOne(linux: FakeLinux, where: string, mode: "read" | "directory" = "read"): void {
  const fd = linux.files.open(path(where), mode);
  linux.files.sync(fd);
  linux.files.close(fd);
}

/** Everything below the root: path to what is there. */
function snapshot(linux: FakeLinux, below = ""): Record<string, string> {
  const found: Record<string, string> = {};
  for (const name of linux.files.readDirectory(path(below === "" ? "/" : below))) {
    const here = path(`${below}/${name}`);
    const { kind } = linux.files.lstat(here);
    if (kind === "directory") Object.assign(found, { [here]: "directory" }, snapshot(linux, here));
    else if (kind === "symlink") found[here] = `-> ${linux.files.readLink(here)}`;
    else found[here] = fromBytes(linux.files.readFile(here, 1 << 20));
  }
  return found;
}

function thrown(action: () => unknown): unknown {
  try {
    action();
  } catch (error) {
    return error;
  }
  return undefined;
}

describe("fake disk", () => {
  test("a crash: a file that was never synced is gone, or empty where its name was kept", () => {
    const linux = new FakeLinux();
    linux.files.makeDirectory(path("/d"), 0o755);
    linux.files.writeNewFile(path("/d/file"), bytes("content"), 0o644);
    expect(snapshot(linux.crash(lost))).toEqual({});
    expect(snapshot(linux.crash(namesKept))).toEqual({ "/d": "directory", "/d/file": "" });
    expect(snapshot(linux.crash(kept))).toEqual({ "/d": "directory", "/d/file": "content" });
  });

  test("syncFileSystem: makes names, bytes and attributes durable", () => {
    const linux = new FakeLinux();
    const { files } = linux;
    files.makeDirectory(path("/d"), 0o700);
    files.writeNewFile(path("/d/file"), bytes("content"), 0o640);
    files.symlink(path("file"), path("/d/link"));
    files.link(path("/d/file"), path("/d/second"));
    files.makeNode(path("/d/pipe"), "fifo", { permissions: 0o600, rdev: 0 });
    files.setXattr(path("/d/file"), fromText("user.a"), fromText("b"));
    files.setOwner(path("/d/file"), 1, 2);
    files.setTime(path("/d/file"), -5n, 6);
    syncAll(linux);
    const after = linux.crash(lost).files;
    expect(after.readDirectory(path("/d"))).toEqual(["file", "link", "pipe", "second"]);
    expect(after.lstat(path("/d"))).toMatchObject({ permissions: 0o700 });
    const stat = { permissions: 0o640, uid: 1, gid: 2, mtimeSeconds: -5n, mtimeNanoseconds: 6, nlink: 2, sizeBytes: 7 };
    expect(after.lstat(path("/d/file"))).toMatchObject(stat);
    expect(after.lstat(path("/d/second")).identity).toBe(after.lstat(path("/d/file")).identity);
    expect([...after.xattrs(path("/d/file"))]).toEqual([["user.a", "b"]]);
    expect(after.readLink(path("/d/link"))).toBe("file");
    expect(after.lstat(path("/d/pipe")).kind).toBe("fifo");
  });

  test("a crash: renames, removals and attributes not synced are undone", () => {
    const linux = new FakeLinux();
    const { files } = linux;
    for (const name of ["a", "b", "c"]) files.writeNewFile(path(`/${name}`), bytes(name), 0o644);
    syncAll(linux);
    files.rename(path("/a"), path("/b"));
    files.unlink(path("/c"));
    files.setPermissions(path("/b"), 0o600);
    expect(snapshot(linux)).toEqual({ "/b": "a" });
    const after = linux.crash(lost);
    expect(snapshot(after)).toEqual({ "/a": "a", "/b": "b", "/c": "c" });
    expect(after.files.lstat(path("/a")).permissions).toBe(0o644);
    expect(snapshot(linux.crash(namesKept))).toEqual({ "/b": "a" });
  });

  test("a crash: bytes appended after the sync are gone, those before it stay", () => {
    const linux = new FakeLinux();
    const fd = linux.files.open(path("/log"), "create");
    linux.files.write(fd, bytes("durable"));
    linux.files.sync(fd);
    linux.files.write(fd, bytes(" and not"));
    linux.files.close(fd);
    expect(snapshot(linux)).toEqual({ "/log": "durable and not" });
    expect(snapshot(linux.crash(lost))).toEqual({ "/log": "durable" });
    expect(snapshot(linux.crash(namesKept))).toEqual({ "/log": "durable" });
  });

  test("a crash: overwriting through a second handle does not change what was durable", () => {
    const linux = new FakeLinux();
    const [one, two] = [linux.files.open(path("/f"), "create"), linux.files.open(path("/f"), "append")];
    linux.files.write(two, bytes("abcdef"));
    linux.files.sync(two);
    linux.files.write(one, bytes("XYZ"));
    expect(snapshot(linux)).toEqual({ "/f": "XYZdef" });
    expect(snapshot(linux.crash(lost))).toEqual({ "/f": "abcdef" });
  });

  test("sync of a file: its bytes and the names in its directory, not the directory's own name", () => {
    const linux = new FakeLinux();
    linux.files.makeDirectory(path("/d"), 0o755);
    linux.files.writeNewFile(path("/d/file"), bytes("content"), 0o644);
    linux.files.writeNewFile(path("/d/other"), bytes("other"), 0o644);
    syncOne(linux, "/d/file");
    expect(snapshot(linux.crash(lost))).toEqual({});
    syncOne(linux, "/", "directory");
    expect(snapshot(linux.crash(lost))).toEqual({ "/d": "directory", "/d/file": "content", "/d/other": "" });
  });

  test("sync of a directory: its names, not the bytes of its files", () => {
    const linux = new FakeLinux();
    linux.files.writeNewFile(path("/file"), bytes("content"), 0o644);
    syncOne(linux, "/", "directory");
    expect(snapshot(linux.crash(lost))).toEqual({ "/file": "" });
  });

  test("the order that commits: written, synced, renamed, synced", () => {
    const linux = new FakeLinux();
    linux.files.writeNewFile(path("/commit"), bytes("old"), 0o644);
    syncAll(linux);
    linux.files.writeNewFile(path("/new"), bytes("new"), 0o644);
    syncOne(linux, "/new");
    linux.files.rename(path("/new"), path("/commit"));
    expect(snapshot(linux.crash(lost))["/commit"]).toBe("old");
    expect(snapshot(linux.crash(namesKept))["/commit"]).toBe("new");
    syncOne(linux, "/", "directory");
    expect(snapshot(linux.crash(lost))).toEqual({ "/commit": "new" });
  });

  test("other file systems: are synced apart, cannot be renamed between, and volatile ones do not outlive the machine", () => {
    const mountPoints = [
      { path: "/boot", type: 0x4d44 },
      { path: "/run", volatile: true },
    ];
    const linux = new FakeLinux({ mountPoints });
    const { files } = linux;
    for (const where of ["/file", "/boot/file", "/run/file"]) files.writeNewFile(path(where), bytes("x"), 0o644);
    const crossing = thrown(() => files.rename(path("/file"), path("/boot/other")));
    expect(crossing).toMatchObject({ code: "system", facts: { errno: "EXDEV" } });
    expect(thrown(() => files.link(path("/file"), path("/run/other")))).toMatchObject({ facts: { errno: "EXDEV" } });
    expect(thrown(() => files.removeDirectory(path("/boot")))).toMatchObject({ code: "busy" });
    expect(files.space(path("/boot")).type).toBe(0x4d44);
    expect(files.lstat(path("/boot/..")).identity).toBe(files.lstat(path("/")).identity);
    syncAll(linux, "/boot");
    const directories = { "/boot": "directory", "/run": "directory" };
    expect(snapshot(linux.crash(lost))).toEqual({ ...directories, "/boot/file": "x" });
    const all = { ...directories, "/file": "x", "/boot/file": "x", "/run/file": "x" };
    expect(snapshot(linux.crash(kept))).toEqual(all);
    const { "/run/file": _, ...withoutRun } = all;
    expect(snapshot(linux.crash({ keepUnsynced: true, reboot: true }))).toEqual(withoutRun);
  });

  test("the machine after a crash: shares nothing with the one before", () => {
    const linux = new FakeLinux();
    linux.files.writeNewFile(path("/file"), bytes("before"), 0o644);
    const after = linux.crash(kept);
    const fd = after.files.open(path("/file"), "append");
    after.files.write(fd, bytes(" after"));
    after.files.writeNewFile(path("/new"), bytes("x"), 0o644);
    expect(snapshot(linux)).toEqual({ "/file": "before" });
    expect(after.openPaths).toEqual(["/file"]);
    expect(after.crash(kept).openPaths).toEqual([]);
  });

  test("the machine after a crash: goes on with new random names and the same clock", () => {
    const linux = new FakeLinux({ now: 1000 });
    linux.advance(500);
    const first = linux.clock.randomName();
    const after = linux.crash(lost);
    expect(after.clock.now()).toBe(1500);
    expect(after.clock.randomName()).not.toBe(first);
    expect(new FakeLinux().clock.randomName()).toBe(first);
  });
});

describe("fake faults", () => {
  const steps = (linux: FakeLinux) => {
    linux.files.makeDirectory(path("/d"), 0o755);
    linux.files.writeNewFile(path("/d/a"), bytes("0123456789"), 0o644);
    const fd = linux.files.open(path("/d/b"), "create");
    try {
      linux.files.write(fd, bytes("0123456789"));
      linux.files.sync(fd);
    } finally {
      linux.files.close(fd);
    }
    linux.files.rename(path("/d/b"), path("/d/c"));
  };

  test("trace: tells every mutating call in order", () => {
    const linux = new FakeLinux();
    steps(linux);
    const calls = linux.trace.map(({ call, path: at, to }) => `${call} ${at}${to === undefined ? "" : ` ${to}`}`);
    expect(calls).toEqual([
      "makeDirectory /d",
      "writeNewFile /d/a",
      "create /d/b",
      "write /d/b",
      "sync /d/b",
      "rename /d/b /d/c",
    ]);
  });

  test("a crash at call n: n - 1 calls are done, and nothing after it, not even in a finally", () => {
    const names = [[], ["d"], ["a"], ["a", "b"], ["a", "b"], ["a", "b"]];
    for (const [index, expected] of names.entries()) {
      const linux = new FakeLinux({ failAt: index + 1 });
      const error = thrown(() => steps(linux));
      expect(error).toBeInstanceOf(SimulatedCrash);
      expect(error).not.toBeInstanceOf(OsdeployError);
      expect(linux.trace.length).toBe(index + 1);
      expect(thrown(() => linux.files.lstat(path("/")))).toBeInstanceOf(SimulatedCrash);
      const after = linux.crash(kept);
      expect(after.files.readDirectory(path(index < 2 ? "/" : "/d"))).toEqual(expected);
      steps(linux.crash(lost));
    }
  });

  test("a crash in the middle of a write: half of the bytes are there", () => {
    const second = new FakeLinux({ failAt: 2, halfWritten: true });
    thrown(() => steps(second));
    expect(snapshot(second.crash(kept))).toEqual({ "/d": "directory", "/d/a": "01234" });
    const fourth = new FakeLinux({ failAt: 4, halfWritten: true });
    thrown(() => steps(fourth));
    expect(snapshot(fourth.crash(kept))["/d/b"]).toBe("01234");
  });

  test("an errno at call n: an error as the live machine would give, once or from then on", () => {
    const once = new FakeLinux({ failAt: 2, fault: "ENOSPC" });
    expect(thrown(() => steps(once))).toMatchObject({
      code: "no-space",
      message: 'Cannot write "/d/a": no space is left on the file system (ENOSPC)',
    });
    once.files.writeNewFile(path("/d/a"), bytes("now it fits"), 0o644);
    expect(snapshot(once)["/d/a"]).toBe("now it fits");
    const always = new FakeLinux({ failAt: 2, fault: "EIO", faultStays: true });
    always.files.setOwner(path("/"), 1, 1);
    for (const _ of [1, 2]) {
      expect(thrown(() => always.files.unlink(path("/x")))).toMatchObject({ code: "system", facts: { errno: "EIO" } });
    }
    const half = new FakeLinux({ failAt: 1, fault: "EMFILE", halfWritten: true });
    expect(thrown(() => half.files.writeNewFile(path("/f"), bytes("abcd"), 0o644))).toMatchObject({
      facts: { errno: "EMFILE" },
    });
    expect(snapshot(half)).toEqual({ "/f": "ab" });
  });
});

describe("fake kernel", () => {
  const sealed = (options: FakeLinuxOptions = {}) => {
    const linux = new FakeLinux(options);
    linux.files.writeNewFile(path("/object"), bytes("content"), 0o644);
    return linux;
  };
  const digest = verityDigest("sha512", bytes("content"));

  test("verity: a sealed file measures to its digest and refuses writers", () => {
    const linux = sealed();
    const { files } = linux;
    const writer = files.open(path("/object"), "append");
    expect(thrown(() => files.enableVerity(path("/object"), "sha512"))).toMatchObject({ code: "busy" });
    files.close(writer);
    expect(files.measureVerity(path("/object"), "sha512")).toBeUndefined();
    expect(files.enableVerity(path("/object"), "sha512")).toBe(true);
    expect(files.enableVerity(path("/object"), "sha256")).toBe(true);
    expect(files.measureVerity(path("/object"), "sha512")).toBe(digest);
    expect(files.measureVerity(path("/object"), "sha256")).toBeUndefined();
    expect(thrown(() => files.open(path("/object"), "append"))).toMatchObject({ code: "permission-denied" });
    expect(thrown(() => files.enableVerity(path("/"), "sha256"))).toMatchObject({ facts: { errno: "EISDIR" } });
  });

  test("verity: the seal outlives a crash only when it was synced; the sealed bytes do", () => {
    const linux = sealed();
    syncOne(linux, "/", "directory");
    linux.files.enableVerity(path("/object"), "sha512");
    const early = linux.crash(lost).files;
    expect(early.measureVerity(path("/object"), "sha512")).toBeUndefined();
    expect(fromBytes(early.readFile(path("/object"), 100))).toBe("content");
    syncAll(linux);
    expect(linux.crash(lost).files.measureVerity(path("/object"), "sha512")).toBe(digest);
  });

  test("damage: reading a sealed file fails, of others the bytes differ; the measured digest stays", () => {
    const linux = sealed();
    linux.files.enableVerity(path("/object"), "sha512");
    linux.files.writeNewFile(path("/plain"), bytes("abc"), 0o644);
    linux.damage(path("/object"), 3);
    linux.damage(path("/plain"));
    expect(thrown(() => linux.files.readFile(path("/object"), 100))).toMatchObject({ facts: { errno: "EIO" } });
    expect(linux.files.measureVerity(path("/object"), "sha512")).toBe(digest);
    expect(fromBytes(linux.files.readFile(path("/plain"), 100))).toBe("\x9ebc" as ByteString);
    expect(thrown(() => linux.crash(kept).files.readFile(path("/object"), 100))).toMatchObject({ code: "system" });
  });

  test("space: bytes are counted in blocks, given back, and missing at the end", () => {
    const linux = new FakeLinux({ totalBytes: 5 * 4096 });
    const { files } = linux;
    const free = () => files.space(path("/")).availableBytes / 4096;
    files.writeNewFile(path("/a"), new Uint8Array(4097), 0o644);
    files.link(path("/a"), path("/b"));
    expect(free()).toBe(3);
    files.unlink(path("/a"));
    expect(free()).toBe(3);
    files.rename(path("/b"), path("/c"));
    expect(free()).toBe(3);
    expect(thrown(() => files.writeNewFile(path("/d"), new Uint8Array(4 * 4096), 0o644))).toMatchObject({
      code: "no-space",
    });
    syncAll(linux);
    expect(linux.crash(lost).files.space(path("/")).availableBytes).toBe(3 * 4096);
    files.unlink(path("/c"));
    expect(free()).toBe(5);
  });

  test("read-only: nothing can be changed", () => {
    const { files } = new FakeLinux({ readOnly: true });
    for (const action of [
      () => files.writeNewFile(path("/a"), new Uint8Array(), 0o644),
      () => files.setOwner(path("/"), 1, 1),
      () => files.makeDirectory(path("/d"), 0o755),
    ]) {
      expect(thrown(action)).toMatchObject({ code: "permission-denied", facts: { errno: "EROFS" } });
    }
    expect(files.space(path("/")).readOnly).toBe(true);
  });

  test("cloneFile: makes a copy of its own where the machine can", () => {
    const linux = sealed({ clone: true });
    expect(linux.files.cloneFile(path("/object"), path("/copy"), 0o600)).toBe(true);
    const fd = linux.files.open(path("/copy"), "append");
    linux.files.write(fd, bytes("!"));
    expect(snapshot(linux)).toEqual({ "/object": "content", "/copy": "content!" });
    expect(linux.files.lstat(path("/copy")).permissions).toBe(0o600);
  });

  test("lock: waiting for a lock that this process holds is a bug, not a hang", () => {
    const { files } = sealed();
    const [one, two] = [files.open(path("/object"), "read"), files.open(path("/object"), "read")];
    files.lock(one, "exclusive", { wait: true });
    expect(() => files.lock(two, "shared", { wait: true })).toThrow(/never end/);
  });
});
