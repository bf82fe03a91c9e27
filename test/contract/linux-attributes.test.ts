import { describe, expect, test } from "vitest";
import { fromBytes, fromText, toBytes } from "../../src/core/bytes/byte-string.ts";
import { verityDigest } from "../../src/core/digest/fs-verity.ts";
import type { FileKind } from "../../src/linux/linux.ts";
import { failure, implementations, isRoot, MachineOfTest } from "../builders/linux-machines.ts";

describe.each(implementations)("$name Linux", ({ start }) => {
  const here = new MachineOfTest(start);
  const { at, text, write } = here;

  test("lstatIfExists: is undefined only where there is nothing", () => {
    write("file", "");
    expect(here.files.lstatIfExists(at("none"))).toBeUndefined();
    expect(here.files.lstatIfExists(at("file/below"))).toBeUndefined();
    expect(here.files.lstatIfExists(at("file"))?.kind).toBe("regular");
    expect(failure(() => here.files.lstat(at("none"))).message).toBe(
      `Cannot read the metadata of "${here.machine.root}/none": it does not exist (ENOENT)`,
    );
    expect(failure(() => here.files.lstatIfExists(at("n".repeat(256)))).errno).toBe("ENAMETOOLONG");
  });

  test("lstat: two files are never the same one", () => {
    write("a", "");
    write("b", "");
    expect(here.files.lstat(at("a")).identity).not.toBe(here.files.lstat(at("b")).identity);
  });

  test("setPermissions: sets all twelve bits, and refuses symlinks", () => {
    write("file", "", 0o600);
    here.files.symlink(fromText("file"), at("link"));
    here.files.setPermissions(at("file"), 0o4755);
    expect(here.files.lstat(at("file")).permissions).toBe(0o4755);
    expect(failure(() => here.files.setPermissions(at("link"), 0o777))).toMatchObject({ code: "unsupported" });
    expect(here.files.lstat(at("file")).permissions).toBe(0o4755);
    expect(failure(() => here.files.setPermissions(at("none"), 0o777)).code).toBe("not-found");
  });

  test.skipIf(!isRoot)("setOwner: sets both, of the link itself for symlinks (needs root)", () => {
    write("file", "");
    here.files.symlink(fromText("file"), at("link"));
    here.files.setOwner(at("link"), 1234, 3_000_000_000);
    expect(here.files.lstat(at("link"))).toMatchObject({ uid: 1234, gid: 3_000_000_000 });
    expect(here.files.lstat(at("file"))).toMatchObject({ uid: 0, gid: 0 });
    expect(failure(() => here.files.setOwner(at("none"), 0, 0)).code).toBe("not-found");
  });

  test.each([
    [1_700_000_000n, 123_456_789],
    [0n, 0],
    [-1n, 999_999_999],
    [-2_000_000_000n, 1],
    [4_294_967_296n, 5],
  ])("setTime: %s s and %s ns come back exactly", (seconds, nanoseconds) => {
    write("file", "");
    here.files.setTime(at("file"), seconds, nanoseconds);
    expect(here.files.lstat(at("file"))).toMatchObject({ mtimeSeconds: seconds, mtimeNanoseconds: nanoseconds });
  });

  test("setTime: sets that of the link itself for symlinks", () => {
    write("file", "");
    here.files.symlink(fromText("file"), at("link"));
    const before = here.files.lstat(at("file"));
    here.files.setTime(at("link"), 5n, 6);
    expect(here.files.lstat(at("link"))).toMatchObject({ mtimeSeconds: 5n, mtimeNanoseconds: 6 });
    expect(here.files.lstat(at("file"))).toEqual(before);
    expect(failure(() => here.files.setTime(at("file"), 0n, 1_000_000_000)).errno).toBe("EINVAL");
    expect(failure(() => here.files.setTime(at("none"), 0n, 0)).code).toBe("not-found");
  });

  const nodes: readonly (readonly [FileKind, number])[] = [
    ["fifo", 0],
    ["socket", 0],
    ["character-device", 0],
    ["character-device", 0x0103],
    ["block-device", 0x12300fff],
  ];
  test.skipIf(!isRoot).each(nodes)("makeNode: a %s with rdev %i (needs root)", (kind, rdev) => {
    here.files.makeNode(at("node"), kind, { permissions: 0o666, rdev });
    expect(here.files.lstat(at("node"))).toMatchObject({ kind, rdev, permissions: 0o666 });
    expect(failure(() => here.files.makeNode(at("node"), kind, { permissions: 0, rdev })).code).toBe("already-exists");
  });

  test("makeNode: is not for directories and symlinks", () => {
    const options = { permissions: 0o600, rdev: 0 };
    expect(() => here.files.makeNode(at("d"), "directory", options)).toThrow(/calls of their own/);
    expect(() => here.files.makeNode(at("l"), "symlink", options)).toThrow(/calls of their own/);
  });

  test("xattrs: keep their bytes, and are none at first", () => {
    write("file", "");
    expect(here.files.xattrs(at("file")).size).toBe(0);
    const value = fromBytes(Uint8Array.of(0, 1, 0xff, 0x0a, 0));
    here.files.setXattr(at("file"), fromText("user.one"), value);
    here.files.setXattr(at("file"), fromText("user.empty"), fromText(""));
    here.files.setXattr(at("file"), fromText("user.one"), value);
    const expected = [["user.empty", ""] as const, ["user.one", value] as const];
    expect([...here.files.xattrs(at("file"))].sort()).toEqual(expected);
  });

  test("xattrs: errors say which attribute and which file", () => {
    here.files.symlink(fromText("x"), at("link"));
    expect(failure(() => here.files.xattrs(at("none"))).message).toBe(
      `Cannot list the attributes of "${here.machine.root}/none": it does not exist (ENOENT)`,
    );
    expect(failure(() => here.files.setXattr(at("none"), fromText("user.a"), fromText("")))).toMatchObject({
      code: "not-found",
      message: `Cannot set the attribute user.a of "${here.machine.root}/none": it does not exist (ENOENT)`,
    });
    expect(failure(() => here.files.setXattr(at("link"), fromText("user.a"), fromText(""))).errno).toBe("EPERM");
    write("file", "");
    expect(failure(() => here.files.setXattr(at("file"), fromText("nowhere.a"), fromText("")))).toMatchObject({
      code: "unsupported",
    });
  });

  test.skipIf(!isRoot)("xattrs: are those of the link itself for symlinks (needs root)", () => {
    write("file", "");
    here.files.symlink(fromText("file"), at("link"));
    here.files.setXattr(at("link"), fromText("trusted.t"), fromText("v"));
    expect([...here.files.xattrs(at("link"))]).toEqual([["trusted.t", "v"]]);
    expect(here.files.xattrs(at("file")).size).toBe(0);
  });

  test("space: tells what is free, and what kind of file system it is", () => {
    const space = here.files.space(fromText(here.machine.root));
    expect(space.totalBytes).toBeGreaterThan(1_000_000);
    expect(space.availableBytes).toBeGreaterThan(0);
    expect(space.availableBytes).toBeLessThanOrEqual(space.totalBytes);
    expect(space.availableInodes).toBeGreaterThan(0);
    expect(space.readOnly).toBe(false);
    expect(space.type).toBeGreaterThan(0);
    expect(failure(() => here.files.space(at("none"))).code).toBe("not-found");
  });

  test("cloneFile: answers false and leaves nothing where the file system cannot, or makes a true copy", () => {
    write("source", "bytes");
    const could = here.files.cloneFile(at("source"), at("copy"), 0o600);
    expect(here.files.lstatIfExists(at("copy"))?.sizeBytes).toBe(could ? 5 : undefined);
    write("taken", "old");
    expect(failure(() => here.files.cloneFile(at("source"), at("taken"), 0o600)).code).toBe("already-exists");
    expect(text("taken")).toBe("old");
    expect(failure(() => here.files.cloneFile(at("none"), at("x"), 0o600)).code).toBe("not-found");
  });

  test("verity: without the kernel's help sealing answers false and measuring nothing; with it, the digest", () => {
    write("file", "bytes");
    const digest = verityDigest("sha256", toBytes(fromText("bytes")));
    const sealed = here.files.enableVerity(at("file"), "sha256");
    expect(here.files.measureVerity(at("file"), "sha256")).toBe(sealed ? digest : undefined);
    expect(here.files.measureVerity(at("file"), "sha512")).toBeUndefined();
    expect(failure(() => here.files.enableVerity(at("none"), "sha256")).code).toBe("not-found");
    expect(failure(() => here.files.measureVerity(at("none"), "sha256")).code).toBe("not-found");
  });

  test("clock: random names are 16 hex digits, and differ", () => {
    const { clock } = here.machine.linux;
    const names = Array.from({ length: 100 }, () => clock.randomName());
    for (const name of names) expect(name).toMatch(/^[0-9a-f]{16}$/);
    expect(new Set(names).size).toBe(100);
    expect(clock.now()).toBeGreaterThan(1_600_000_000_000);
  });
});
