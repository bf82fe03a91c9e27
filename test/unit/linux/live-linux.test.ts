import { spawnSync } from "node:child_process";
import { linkSync, mkdtempSync, readFileSync, realpathSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { findLibrary, foreign } from "../../../src/linux/foreign.ts";
import type { Path } from "../../../src/linux/linux.ts";
import { openLinux } from "../../../src/linux/live-linux.ts";
import {
  emptyDigest,
  enableArgument,
  ioctls,
  isUnsealed,
  meaningOfRefusedSeal,
  readDigest,
} from "../../../src/linux/live-verity.ts";
import { loopConfig } from "../../../src/linux/loop-device.ts";

let scratch: string;
const at = (name: string): Path => fromText(join(scratch, name));
const { files } = openLinux();

beforeAll(() => {
  scratch = realpathSync(mkdtempSync(join(tmpdir(), "osdeploy-live-")));
});
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

test("openLinux: reading files and names loads no native library", () => {
  // This test runs first: modules are fresh in each test file.
  const loaded = Object.keys(createRequire(import.meta.url).cache);
  writeFileSync(at("early"), "x");
  files.readFile(at("early"), 10);
  files.readDirectory(fromText(scratch));
  files.lstat(at("early"));
  files.makeDirectory(at("early-directory"), 0o755);
  const koffi = (names: readonly string[]) => names.filter((name) => name.includes("koffi"));
  expect(koffi(loaded)).toEqual([]);
  expect(koffi(Object.keys(createRequire(import.meta.url).cache))).toEqual([]);
  files.space(fromText(scratch));
  expect(koffi(Object.keys(createRequire(import.meta.url).cache))).not.toEqual([]);
});

test("lock: keeps another process out", () => {
  const fd = files.open(at("lock"), "create");
  const other = () => spawnSync("flock", ["--nonblock", join(scratch, "lock"), "true"]).status;
  expect(files.lock(fd, "exclusive", { wait: true })).toBe(true);
  expect(other()).toBe(1);
  files.close(fd);
  expect(other()).toBe(0);
});

test("readFile: reads what says that it is empty, as in /proc", () => {
  const version = files.readFile(fromText("/proc/version"), 10_000);
  expect(Buffer.from(version).toString()).toBe(readFileSync("/proc/version", "utf8"));
  const limits = files.readFile(fromText("/proc/kallsyms"), 100_000_000);
  expect(limits.length).toBeGreaterThan(4097);
  expect(() => files.readFile(fromText("/proc/kallsyms"), 5000)).toThrow(/longer than 5000 bytes/);
});

test("writeNewFile: a full device is no-space, and the handle is closed", () => {
  const before = files.readDirectory(fromText("/proc/self/fd")).length;
  const full = files.open(fromText("/dev/full"), "append");
  expect(() => files.write(full, new Uint8Array(10))).toThrow(
    'Cannot write "/dev/full": no space is left on the file system (ENOSPC)',
  );
  files.close(full);
  expect(files.readDirectory(fromText("/proc/self/fd")).length).toBe(before);
});

test.skipIf(process.getuid?.() !== 0)(
  "writeNewFile: a full file system is no-space, no handle is left (needs root)",
  () => {
    files.makeDirectory(at("tiny"), 0o755);
    const mounted = spawnSync("mount", ["-t", "tmpfs", "-o", "size=64k", "none", join(scratch, "tiny")]);
    expect(mounted.status).toBe(0);
    try {
      const before = files.readDirectory(fromText("/proc/self/fd")).length;
      expect(() => files.writeNewFile(at("tiny/file"), new Uint8Array(1_000_000), 0o600)).toThrow(/\(ENOSPC\)/);
      expect(files.readDirectory(fromText("/proc/self/fd")).length).toBe(before);
      expect(files.space(at("tiny"))).toMatchObject({ totalBytes: 65536, availableBytes: 0, type: 0x01021994 });
      expect(() => files.rename(at("early"), at("tiny/other"))).toThrow(/different file systems \(EXDEV\)/);
      expect(spawnSync("mount", ["-o", "remount,ro", join(scratch, "tiny")]).status).toBe(0);
      expect(files.space(at("tiny")).readOnly).toBe(true);
      expect(() => files.unlink(at("tiny/file"))).toThrow(/read-only \(EROFS\)/);
    } finally {
      spawnSync("umount", [join(scratch, "tiny")]);
    }
  },
);

test("space: agrees with what Node reads", () => {
  const space = files.space(fromText(scratch));
  const theirs = statfsSync(scratch);
  expect(space.totalBytes).toBe(theirs.blocks * theirs.bsize);
  expect(space.type).toBe(theirs.type);
});

test("lstat: identity is the same for two names of one inode", () => {
  writeFileSync(at("one"), "");
  linkSync(at("one"), at("two"));
  expect(files.lstat(at("one")).identity).toBe(files.lstat(at("two")).identity);
  expect(files.lstat(at("one")).nlink).toBe(2);
});

test("lstat: device numbers are as the kernel encodes them", () => {
  expect(files.lstat(fromText("/dev/null"))).toMatchObject({ kind: "character-device", rdev: 0x0103 });
});

test("findLibrary: passes over what is missing, and over libraries without the symbols", () => {
  expect(findLibrary(["libnothing.so.9"])).toBeUndefined();
  expect(findLibrary(["libnothing.so.9", null], ["no_such_symbol"])).toBeUndefined();
  expect(findLibrary(["libnothing.so.9", null], ["malloc"])).toBeDefined();
});

test.each([
  ["EEXIST", 1, "sealed"],
  ["ENOTSUP", 1, "cannot"],
  ["ENOTTY", 1, "cannot"],
  ["ENOSYS", 1, "cannot"],
  ["ETXTBSY", 1, "again"],
  ["ETXTBSY", 4, "again"],
  ["ETXTBSY", 5, "failed"],
  ["EINTR", 99, "again"],
  ["EIO", 1, "failed"],
  ["EINVAL", 1, "failed"],
] as const)("enableVerity: %s at try %i means %s", (errno, tries, meaning) => {
  expect(meaningOfRefusedSeal(errno, tries)).toBe(meaning);
});

test.each([
  ["ENODATA", true],
  ["ENOTSUP", true],
  ["ENOTTY", true],
  ["EIO", false],
] as const)("measureVerity: %s means not sealed: %s", (errno, unsealed) => {
  expect(isUnsealed(errno)).toBe(unsealed);
});

describe("what the kernel's ioctls take", () => {
  /** _IOC of asm-generic/ioctl.h: direction (1 write, 2 read), size, type, number. */
  const ioc = (direction: number, type: number, number: number, size: number) =>
    direction * 2 ** 30 + (size << 16) + (type << 8) + number;

  test("the request numbers are those of the headers", () => {
    expect(ioctls.clone).toBe(ioc(1, 0x94, 9, 4));
    expect(ioctls.getFlags).toBe(ioc(2, "f".charCodeAt(0), 1, 8));
    expect(ioctls.setFlags).toBe(ioc(1, "f".charCodeAt(0), 2, 8));
    expect(ioctls.enableVerity).toBe(ioc(1, "f".charCodeAt(0), 133, 128));
    expect(ioctls.measureVerity).toBe(ioc(3, "f".charCodeAt(0), 134, 4));
  });

  test("struct fsverity_enable_arg has its fields where a C compiler puts them", () => {
    const { struct, sizeof, offsetof, array } = foreign();
    const argument = struct({
      version: "uint32",
      hash_algorithm: "uint32",
      block_size: "uint32",
      salt_size: "uint32",
      salt_ptr: "uint64",
      sig_size: "uint32",
      reserved1: "uint32",
      sig_ptr: "uint64",
      reserved2: array("uint64", 11),
    });
    for (const [algorithm, number] of [["sha256", 1] as const, ["sha512", 2] as const]) {
      const bytes = Buffer.from(enableArgument(algorithm));
      expect(bytes.length).toBe(sizeof(argument));
      expect(bytes.readUInt32LE(offsetof(argument, "version"))).toBe(1);
      expect(bytes.readUInt32LE(offsetof(argument, "hash_algorithm"))).toBe(number);
      expect(bytes.readUInt32LE(offsetof(argument, "block_size"))).toBe(4096);
      expect(bytes.subarray(offsetof(argument, "salt_size")).every((byte) => byte === 0)).toBe(true);
    }
  });

  test("struct fsverity_digest: has room for sha512; a digest of the other algorithm is none", () => {
    const digest = Buffer.from(emptyDigest());
    expect(digest.readUInt16LE(2)).toBe(64);
    expect(digest.length).toBe(4 + 64);
    digest.writeUInt16LE(1, 0);
    digest.writeUInt16LE(32, 2);
    digest.fill(0xab, 4, 36);
    expect(readDigest(digest, "sha256")).toBe("ab".repeat(32));
    expect(readDigest(digest, "sha512")).toBeUndefined();
    digest.writeUInt16LE(2, 0);
    digest.writeUInt16LE(64, 2);
    expect(readDigest(digest, "sha512")).toBe("ab".repeat(32) + "00".repeat(32));
  });

  test("struct loop_config has its flags where a C compiler puts them", () => {
    const { struct, sizeof, offsetof, array } = foreign();
    const info = struct({
      numbers: array("uint64", 5),
      words: array("uint32", 3),
      lo_flags: "uint32",
      names: array("uint8", 64 + 64 + 32),
      init: array("uint64", 2),
    });
    const config = struct({ fd: "uint32", block_size: "uint32", info, reserved: array("uint64", 8) });
    const bytes = Buffer.from(loopConfig(7));
    expect(bytes.length).toBe(sizeof(config));
    expect(bytes.readUInt32LE(0)).toBe(7);
    expect(bytes.readUInt32LE(offsetof(config, "info") + offsetof(info, "lo_flags"))).toBe(5);
  });
});
