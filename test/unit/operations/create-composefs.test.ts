import { beforeEach, describe, expect, test } from "vitest";
import { type ByteString, fromBytes, fromText, toBytes } from "../../../src/core/bytes/byte-string.ts";
import { verityDigest } from "../../../src/core/digest/fs-verity.ts";
import { readErofs } from "../../../src/core/erofs/reader.ts";
import { findDirectory } from "../../../src/core/tree/tree-path.ts";
import { systemCallError } from "../../../src/linux/errno.ts";
import { type CreateComposefsRequest, createComposefs } from "../../../src/operations/create-composefs.ts";
import { sha256, VectorFolder } from "../../builders/composefs-vectors.ts";
import { systemOn } from "../../builders/operation-machine.ts";
import { content } from "../../builders/os-images.ts";
import { showTree } from "../../builders/tree-text.ts";
import { FakeLinux } from "../../fakes/fake-linux.ts";

const vectors = new VectorFolder("test/vectors/composefs/cases");
const some = vectors.images().filter((_, index) => index % 12 === 0);
const version = { min: 0, max: 1 };

let linux: FakeLinux;
beforeEach(() => {
  linux = new FakeLinux();
});

const text = fromText;
const create = (request: Omit<CreateComposefsRequest, "output" | "version"> & Partial<CreateComposefsRequest>) =>
  createComposefs(systemOn(linux), { output: undefined, version, ...request });

describe("from a dump", () => {
  test.each(some)("makes mkcomposefs's image of %s, from memory and from a file", async (_, vector) => {
    const dump = vectors.dump(vector.file);
    linux.files.writeNewFile(text("/dump"), dump, 0o644);
    const fromMemory = await create({ source: { kind: "dump", bytes: dump, strict: false } });
    expect(sha256(fromMemory.image)).toBe(vector.sha256_default);
    expect(fromMemory.digest).toBe(vector.verity_default);
    const fromFile = await create({
      source: { kind: "dump-file", path: text("/dump"), strict: false },
      version: { min: 1, max: 1 },
    });
    expect(sha256(fromFile.image)).toBe(vector.sha256_v1);
  });

  test("tells of a file that is missing in mkcomposefs's words", async () => {
    const promise = create({ source: { kind: "dump-file", path: text("/none"), strict: false } });
    await expect(promise).rejects.toMatchObject({
      code: "not-found",
      message: expect.stringMatching(/^open `\/none[`'\x22]: No such file or directory$/),
    });
    const directory = create({ source: { kind: "dump-file", path: text("/"), strict: false } });
    await expect(directory).rejects.toMatchObject({ code: "system" });
  });
});

describe("the output", () => {
  const source = { kind: "dump", bytes: toBytes(text("/ 4096 40755 2 0 0 0 0.0 - - -\n")), strict: false } as const;

  test("is a new file, or replaces one in one step", async () => {
    const { image } = await create({ source, output: text("/image") });
    expect(Buffer.compare(linux.files.readFile(text("/image"), 1 << 20), image)).toBe(0);
    expect(linux.files.lstat(text("/image")).permissions).toBe(0o644);
    const calls = linux.trace.length;
    await create({ source, output: text("/image"), version: { min: 1, max: 1 } });
    const named = linux.trace.slice(calls).filter(({ path, to }) => path === "/image" || to === "/image");
    expect(named.map(({ call }) => call)).toEqual(["rename"]);
    expect(linux.openPaths).toEqual([]);
    expect(linux.files.readDirectory(text("/"))).toEqual(["image"]);
  });

  test("is written to as it is where it is no file", async () => {
    linux.files.makeNode(text("/null"), "character-device", { permissions: 0o666, rdev: 0x103 });
    await create({ source, output: text("/null") }).catch(() => undefined);
    expect(linux.files.lstat(text("/null"))).toMatchObject({ kind: "character-device", rdev: 0x103 });
    expect(linux.files.readDirectory(text("/"))).toEqual(["null"]);
  });

  test("a failure leaves the image that was there", async () => {
    await create({ source, output: text("/image") });
    const before = linux.files.readFile(text("/image"), 1 << 20);
    const bad = { kind: "dump", bytes: toBytes(text("nonsense\n")), strict: false } as const;
    await expect(create({ source: bad, output: text("/image") })).rejects.toMatchObject({ code: "bad-format" });
    expect(Buffer.compare(linux.files.readFile(text("/image"), 1 << 20), before)).toBe(0);
    expect(linux.files.readDirectory(text("/"))).toEqual(["image"]);
    expect(linux.openPaths).toEqual([]);
  });

  test("a symlink stays one, and what it leads to is replaced", async () => {
    linux.files.makeDirectory(text("/d"), 0o755);
    linux.files.symlink(text("d/image"), text("/link"));
    linux.files.symlink(text("/link"), text("/d/again"));
    for (const path of ["/link", "/d/again"]) {
      const { image } = await create({ source, output: text(path) });
      expect(linux.files.lstat(text(path)).kind).toBe("symlink");
      expect(Buffer.compare(linux.files.readFile(text("/d/image"), 1 << 20), image)).toBe(0);
    }
    linux.files.symlink(text("circle"), text("/circle"));
    await expect(create({ source, output: text("/circle") })).rejects.toThrow(/^failed to open output file/);
  });

  test("a full disk leaves the image that was there", async () => {
    await create({ source, output: text("/image") });
    const failing = linux.crash({ keepUnsynced: true }, { failAt: 2, fault: "ENOSPC" });
    const promise = createComposefs(systemOn(failing), {
      source,
      version: { min: 1, max: 1 },
      output: text("/image"),
    });
    await expect(promise).rejects.toThrow(/^cannot write file/);
    expect(failing.files.readDirectory(text("/"))).toEqual(["image"]);
    expect(failing.openPaths).toEqual([]);
  });
});

describe("from a directory", () => {
  const large = toBytes(text(content("large", 5_000_000)));
  const medium = content("medium", 65);

  beforeEach(() => {
    const { files } = linux;
    files.makeDirectory(text("/source"), 0o750);
    files.makeDirectory(text("/source/d"), 0o700);
    files.writeNewFile(text("/source/d/large"), large, 0o640);
    files.writeNewFile(text("/source/medium"), toBytes(text(medium)), 0o644);
    files.writeNewFile(text("/source/same"), toBytes(text(medium)), 0o600);
    files.writeNewFile(text("/source/small"), toBytes(text(content("small", 64))), 0o644);
    files.symlink(text("d/large"), text("/source/link"));
    files.makeNode(text("/source/pipe"), "fifo", { permissions: 0o600, rdev: 0 });
    files.makeNode(text("/source/null"), "character-device", { permissions: 0o666, rdev: 0x103 });
    files.setXattr(text("/source/medium"), text("user.note"), text("v"));
    files.setXattr(text("/source/medium"), text("trusted.note"), text("t"));
    files.setTime(text("/source/medium"), 1234n, 567);
  });

  const options = { useEpoch: false, skipDevices: false, xattrs: "all" } as const;
  const fromDirectory = (changes: object = {}) =>
    create({
      source: { kind: "directory", path: text("/source"), digestStore: text("/store"), ...options, ...changes },
    });

  function stored(): readonly string[] {
    return linux.files
      .readDirectory(text("/store"))
      .flatMap((prefix) => linux.files.readDirectory(text(`/store/${prefix}`)).map((name) => `${prefix}${name}`));
  }

  test("stores contents of more than 64 bytes once, named by their digest, and refers to them", async () => {
    const { image } = await fromDirectory();
    const names = [large, toBytes(text(medium))].map((bytes) => verityDigest("sha256", bytes));
    expect([...stored()].sort()).toEqual([...names].sort());
    const [largeName] = names;
    const copy = linux.files.readFile(text(`/store/${largeName?.slice(0, 2)}/${largeName?.slice(2)}`), 1 << 23);
    expect(Buffer.compare(copy, large)).toBe(0);
    const tree = showTree(readErofs(image));
    expect(tree).toContain(`5000000 bytes in ${largeName?.slice(0, 2)}/${largeName?.slice(2)} ${largeName}`);
    expect(tree).toContain(JSON.stringify(content("small", 64)));
    expect(tree).toContain('"/link" symlink');
    expect(tree).toContain("rdev 259");
    expect(tree).toContain("1234.000000567");
    expect(tree).toMatch(/trusted.note="t" user.note="v"/);
  });

  test("an existing store keeps what it has, and half-written files are begun anew", async () => {
    await fromDirectory();
    const [name] = stored();
    const path = `/store/${name?.slice(0, 2)}/${name?.slice(2)}`;
    linux.files.unlink(text(path));
    linux.files.writeNewFile(text(`${path}.tmp`), new Uint8Array(3), 0o600);
    const { digest } = await fromDirectory();
    expect(linux.files.readDirectory(text(`/store/${name?.slice(0, 2)}`))).toEqual([name?.slice(2)]);
    const calls = linux.trace.length;
    expect((await fromDirectory()).digest).toBe(digest);
    expect(linux.trace.length).toBe(calls);
  });

  test("without a store only says what would be in it", async () => {
    const { digest } = await fromDirectory();
    const without = await fromDirectory({ digestStore: undefined });
    expect(without.digest).toBe(digest);
  });

  test("leaves out times, devices and xattrs when asked to", async () => {
    const { image } = await fromDirectory({ useEpoch: true, skipDevices: true, xattrs: "none" });
    const lines = showTree(readErofs(image)).split("\n");
    expect(lines.filter((line) => /device|note/.test(line))).toEqual([]);
    expect(lines.filter((line) => line !== "" && !line.includes(" 0.000000000 "))).toEqual([]);
    const user = showTree(readErofs((await fromDirectory({ xattrs: "user" })).image));
    expect(user).toContain('user.note="v"');
    expect(user).not.toContain("trusted.note");
  });

  test("copies large files where they cannot be cloned, and clones them where they can", async () => {
    const cloning = linux.crash({ keepUnsynced: true });
    const { digest } = await fromDirectory();
    linux = new FakeLinux({ clone: true });
    linux.files.makeDirectory(text("/source"), 0o750);
    linux.files.writeNewFile(text("/source/large"), large, 0o600);
    await fromDirectory();
    const [name] = stored();
    expect(linux.files.lstat(text(`/store/${name?.slice(0, 2)}/${name?.slice(2)}`))).toMatchObject({
      permissions: 0o644,
      sizeBytes: 5_000_000,
    });
    expect(digest).toMatch(/^[0-9a-f]{64}$/);
    expect(cloning.openPaths).toEqual([]);
  });

  test("refuses a large file that grows while it is read", async () => {
    const { files } = linux;
    const growing = {
      ...files,
      lstat: (path: Parameters<typeof files.lstat>[0]) => {
        const stat = files.lstat(path);
        return path.endsWith("/large") ? { ...stat, sizeBytes: stat.sizeBytes + 1 } : stat;
      },
    };
    const promise = createComposefs(systemOn({ ...linux, files: growing }), {
      source: { kind: "directory", path: text("/source"), digestStore: undefined, ...options },
      version,
      output: undefined,
    });
    await expect(promise).rejects.toThrow('Cannot read "/source/d/large": it changes while it is read');
  });

  test.each([
    ["/none", "error accessing /none: No such file or directory"],
    ["/source/medium", "cannot write file: Not a directory"],
  ])("refuses %s as a root in mkcomposefs's words", async (path, message) => {
    await expect(fromDirectory({ path: text(path) })).rejects.toThrow(message);
  });

  test.each([
    ["a directory", "readDirectory", "/source/d", "error accessing /source/d: Permission denied"],
    ["attributes", "xattrs", "/source/pipe", "error accessing /source/pipe: Permission denied"],
    ["a small file", "readFile", "/source/small", "error computing digest: Permission denied"],
    ["a file", "open", "/source/medium", "error computing digest: Permission denied"],
  ] as const)("tells of %s that cannot be read in mkcomposefs's words", async (_, call, denied, message) => {
    const { files } = linux;
    const refuse = (path: ByteString) => {
      if (path === denied) throw systemCallError({ verb: "read", path }, "EACCES");
    };
    const read = (path: ByteString, ...rest: unknown[]) => {
      refuse(path);
      return (files[call] as (path: ByteString, ...rest: unknown[]) => unknown).call(files, path, ...rest);
    };
    const guarded = Object.assign(Object.create(files) as typeof files, { [call]: read });
    const promise = createComposefs(systemOn({ ...linux, files: guarded }), {
      source: { kind: "directory", path: text("/source"), digestStore: undefined, ...options },
      version,
      output: undefined,
    });
    await expect(promise).rejects.toMatchObject({ code: "permission-denied", message });
  });

  test("tells of a name that cannot be read by its bytes", async () => {
    const { files } = linux;
    const directory = fromBytes(Uint8Array.of(0xc3, 0xb1, 0x09, 0xff));
    const path = `${text("/source/d")}/${directory}` as ByteString;
    files.makeDirectory(path, 0o700);
    const readDirectory = (which: ByteString) => {
      if (which === path) throw systemCallError({ verb: "read", path }, "EACCES");
      return files.readDirectory(which);
    };
    const guarded = Object.assign(Object.create(files) as typeof files, { readDirectory });
    for (const source of ["/source", "/source/"]) {
      const promise = createComposefs(systemOn({ ...linux, files: guarded }), {
        source: { kind: "directory", path: text(source), digestStore: undefined, ...options },
        version,
        output: undefined,
      });
      await expect(promise).rejects.toThrow(`error accessing ${path}: Permission denied`);
    }
  });

  test("reads directories deeper in each other than calls can be", async () => {
    const deepest = "/e".repeat(1600);
    for (let depth = 1; depth <= 1600; depth++)
      linux.files.makeDirectory(text(`/source${deepest.slice(0, 2 * depth)}`), 0o700);
    const { image } = await fromDirectory({ digestStore: undefined });
    expect(findDirectory(readErofs(image), text(deepest))?.entries.size).toBe(0);
  });

  test("refuses xattrs that mkcomposefs has no room for, though an image has", async () => {
    const { files } = linux;
    const xattrs = (path: string, ...lengths: number[]) => {
      for (const [i, length] of lengths.entries())
        files.setXattr(text(path), text(`user.${i}`), text(content("x", length)));
    };
    // Each takes its key, its value and 7 bytes more, and the first 12: in all, 32767 may be taken.
    xattrs("/source/small", 16_000, 16_729);
    await fromDirectory();
    xattrs("/source/small", 16_000, 16_730);
    const tooMuch = "error accessing /source/small: Numerical result out of range";
    for (const path of ["/source", "/source/"])
      await expect(fromDirectory({ path: text(path) })).rejects.toMatchObject({ code: "bad-format", message: tooMuch });
    await fromDirectory({ xattrs: "none" });
    xattrs("/source/small", 65_536);
    await expect(fromDirectory()).rejects.toThrow("error accessing /source/small: Invalid argument");
    xattrs("/source/small", 0, 0);
    xattrs("/source", 40_000);
    await expect(fromDirectory()).rejects.toThrow("error accessing /source: Numerical result out of range");
  });

  test("names are bytes", async () => {
    const odd = fromBytes(Uint8Array.of(0xff, 0x20, 0x0a));
    linux.files.writeNewFile(`${text("/source")}/${odd}` as typeof odd, new Uint8Array(), 0o600);
    const { root } = readErofs((await fromDirectory()).image);
    expect(root.entries.has(odd)).toBe(true);
  });
});
