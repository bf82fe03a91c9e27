import { describe, expect, test } from "vitest";
import { type ByteString, fromText } from "../../../../src/core/bytes/byte-string.ts";
import type { VerityAlgorithm } from "../../../../src/core/digest/object-id.ts";
import { readErofsImage } from "../../../../src/core/erofs/reader.ts";
import { writeErofs } from "../../../../src/core/erofs/writer.ts";
import { parseDump } from "../../../../src/core/tree/dump-parser.ts";
import { dumpLines, writeDump } from "../../../../src/core/tree/dump-writer.ts";
import type { Directory, FileTree, Inode, RegularFile } from "../../../../src/core/tree/inode.ts";

const stat = { permissions: 0o755, uid: 0, gid: 0, mtimeSeconds: 0n, mtimeNanoseconds: 0 };

function bytes(text: string): ByteString {
  return text as ByteString;
}

function tree(entries: Readonly<Record<string, Inode>>, root: Partial<Directory> = {}): FileTree {
  const names = Object.entries(entries).map(([name, inode]) => [bytes(name), inode] as const);
  return { root: { kind: "directory", stat, xattrs: new Map(), entries: new Map(names), links: new Set(), ...root } };
}

function file(content: Partial<RegularFile["content"]> & { kind: string }, xattrs: [string, string][] = []): Inode {
  const map = new Map(xattrs.map(([key, value]) => [bytes(key), bytes(value)]));
  return { kind: "regular", stat, xattrs: map, nlink: 1, content: content as RegularFile["content"] };
}

const empty = file({ kind: "inline", bytes: bytes("") });

function symlink(target: string): Inode {
  return { kind: "symlink", stat, xattrs: new Map(), nlink: 1, target: bytes(target) };
}

describe("versions", () => {
  const whiteout = parseDump(new TextEncoder().encode("/ 0 40755 2 0 0 0 0.0 - - -\n/w 0 20644 1 0 0 0 0.0 - - -\n"));
  const plain = tree({});
  test.each([
    ["0 for a plain tree from 0 to 1", plain, { min: 0, max: 1 }, 0],
    ["1 for a whiteout from 0 to 1", whiteout, { min: 0, max: 1 }, 1],
    ["0 for a whiteout from 0 to 0", whiteout, { min: 0, max: 0 }, 0],
    ["1 when the range is turned round", plain, { min: 1, max: 0 }, 1],
    ["0 when it is forced", whiteout, 0, 0],
  ] as const)("writeErofs: version %s", (_, from, version, expected) => {
    expect(readErofsImage(writeErofs(from, { version })).superblock.composefsVersion).toBe(expected);
  });

  test.each([
    { min: 2, max: 2 },
    { min: 0, max: 2 },
    { min: -1, max: 1 },
  ])("writeErofs: mkcomposefs's own words for versions that there are not: %o", (version) => {
    expect(() => writeErofs(plain, { version })).toThrow("cannot write file: Invalid argument");
  });
});

describe("what no image can hold", () => {
  const refused: readonly [string, FileTree, string, string][] = [
    ["an empty name", tree({ "": empty }), "bad-format", `"" cannot be a file's name`],
    [
      "a name of 256 bytes",
      tree({ ["n".repeat(256)]: empty }),
      "bad-format",
      `"${"n".repeat(256)}" cannot be a file's name`,
    ],
    ["a slash in a name", tree({ "a/b": empty }), "bad-format", `"a/b" cannot be a file's name`],
    ["the name .", tree({ ".": empty }), "bad-format", `"." cannot be a file's name`],
    ["the name ..", tree({ "..": empty }), "bad-format", `".." cannot be a file's name`],
    ["an empty target", tree({ l: symlink("") }), "bad-format", `"" cannot be a symlink's target`],
    ["a NUL in a target", tree({ l: symlink("a\0b") }), "bad-format", `"a\0b" cannot be a symlink's target`],
    [
      "a target of 4096 bytes",
      tree({ l: symlink("t".repeat(4096)) }),
      "bad-format",
      `"${"t".repeat(300)}" cannot be a symlink's target`,
    ],
    [
      "a large inline file",
      tree({ f: file({ kind: "inline", bytes: bytes("x".repeat(5001)) }) }),
      "limit-exceeded",
      "a file of 5001 bytes is too large to be inline",
    ],
    [
      "a long backing path",
      tree({ f: file({ kind: "external", sizeBytes: 1n, backingPath: bytes("p".repeat(4096)), digest: undefined }) }),
      "limit-exceeded",
      "a backing path has 4096 bytes",
    ],
    [
      "an empty xattr key",
      tree({ f: file({ kind: "inline", bytes: bytes("") }, [["", "v"]]) }),
      "bad-format",
      `"" cannot be an xattr's key`,
    ],
    [
      "a long xattr key",
      tree({ f: file({ kind: "inline", bytes: bytes("") }, [[fromText("ä".repeat(128)), "v"]]) }),
      "bad-format",
      `"${"ä".repeat(128)}" cannot be an xattr's key`,
    ],
    [
      "a long xattr value",
      tree({ f: file({ kind: "inline", bytes: bytes("") }, [["user.k", "v".repeat(65536)]]) }),
      "limit-exceeded",
      "an xattr value has 65536 bytes",
    ],
    [
      "xattrs that are too many",
      tree({
        f: file(
          { kind: "inline", bytes: bytes("") },
          [..."abcde"].map((key) => [`user.${key}`, "v".repeat(65000)]),
        ),
      }),
      "limit-exceeded",
      "the xattrs of a file take 325052 bytes",
    ],
  ];
  test.each(refused)("writeErofs: refuses %s", (_, from, code, reason) => {
    expect(() => writeErofs(from, { version: 1 })).toThrow(
      expect.objectContaining({ code, message: `Cannot write a root image: ${reason}` }),
    );
  });
});

test("writeErofs: a device's size is never written, but a claim of more than 32 bits takes a large inode", () => {
  const imageOf = (claimedSizeBytes: bigint) => {
    const device: Inode = { kind: "character-device", stat, xattrs: new Map(), nlink: 1, rdev: 259, claimedSizeBytes };
    return writeErofs(tree({ zz: device }), { version: 1 });
  };
  expect(imageOf(2n ** 32n - 1n)).toEqual(imageOf(0n));
  expect(imageOf(2n ** 32n)).not.toEqual(imageOf(0n));
});

describe("content outside", () => {
  const one = "11".repeat(32);
  const two = "22".repeat(32);
  const outside = (digest: string | undefined, backingPath: string | undefined) =>
    file({
      kind: "external",
      sizeBytes: 9n,
      digest,
      backingPath: backingPath === undefined ? undefined : bytes(backingPath),
    });
  const own = (digest: string) => outside(digest, `${digest.slice(0, 2)}/${digest.slice(2)}`);

  /** Which values the image holds only once although several files have them. */
  function timesStored(image: Uint8Array, text: string): number {
    return new TextDecoder("latin1").decode(image).split(text).length - 1;
  }

  test("writeErofs: a path shared by files of which not all lie where their digest says is stored once", () => {
    const path = `11/${one.slice(2)}`;
    const image = writeErofs(tree({ a: own(one), b: own(one), c: outside(two, path), d: outside(undefined, path) }), {
      version: 1,
    });
    expect(timesStored(image, path)).toBe(1);
    expect(writeDump(readErofsImage(image).tree).match(new RegExp(path, "g"))).toHaveLength(4);
  });

  test("writeErofs: a path met first after all others lay where their digest says is stored once with them", () => {
    const path = `11/${one.slice(2)}`;
    const image = writeErofs(tree({ a: own(one), b: own(two), c: outside(undefined, path) }), { version: 1 });
    expect(timesStored(image, path)).toBe(1);
  });

  test("writeErofs: a sha512 digest is stored with its length and fs-verity's number for sha512", () => {
    const image = writeErofs(tree({ a: own("33".repeat(64)) }), { version: 1 });
    expect(timesStored(image, `\0\x44\0\x02${"\x33".repeat(64)}`)).toBe(1);
    expect(writeDump(readErofsImage(image).tree)).toContain(` 33/${"33".repeat(63)} - ${"33".repeat(64)}\n`);
  });

  test("writeErofs: files that differ in digest, xattrs or both come out as they are, in any order", () => {
    // The first one is shared, and all zeros, like what others are measured with.
    const digests = [..."0001234567"].map((digit) => digit.repeat(64));
    const long = [..."89ab"].map((digit) => digit.repeat(128));
    const lines = [...digests, ...long, ...digests.slice(5)].map((digest, i) => {
      const label = i % 3 === 0 ? "" : ` security.selinux=label${i % 2}`;
      return `/f${i + 10} 9 100644 1 0 0 0 ${i % 4}.0 ${digest.slice(0, 2)}/${digest.slice(2)} - ${digest}${label}\n`;
    });
    const text = `/ 0 40755 2 0 0 0 0.0 - - -\n${lines.join("")}`;
    const tree = parseDump(new TextEncoder().encode(text), { algorithm: "sha256" });
    const sha512 = parseDump(new TextEncoder().encode(text.replaceAll(/^.* (?=[0-7]{64}( |$)).*\n/gm, "")), {
      algorithm: "sha512",
    });
    for (const from of [tree, sha512]) {
      const image = writeErofs(from, { version: 1 });
      expect(writeDump(readErofsImage(image).tree)).toBe(writeDump(from));
    }
  });

  const line = (name: string, digest: string, xattrs = "") =>
    `/${name} 9 100644 1 0 0 0 0.0 ${digest.slice(0, 2)}/${digest.slice(2)} - ${digest}${xattrs}\n`;
  const dumpRoot = "/ 0 40755 2 0 0 0 0.0 - - -\n";
  const digestOf = (number: number) => number.toString(16).padStart(64, "0");
  test.each([
    ["each its own", [line("a", digestOf(1)), line("b", digestOf(2)), line("c", digestOf(3))]],
    ["some the same", [line("a", one), line("b", two), line("c", one), line("d", two), line("e", one)]],
    ["other xattrs", [line("a", one, " user.a=1"), line("b", two, " user.b=1"), line("c", digestOf(1), " user.b=1")]],
    ["one without a digest", [line("a", one), line("b", one), "/c 9 100644 1 0 0 0 0.0 11/22 - -\n"]],
    ["one first that has no digest", ["/0 9 100644 1 0 0 0 0.0 11/22 - -\n", line("a", one), line("b", one)]],
    ["so many that begin alike", Array.from({ length: 500 }, (_, i) => line(`f${i + 100}`, digestOf(i * 2 ** 32)))],
    ["large numbers", [line("a", one).replace(" 9 ", " 999999999999999 ").replace(" 0.0 ", " 99999999999999.7 ")]],
  ])("writeErofs: files of a dump come out as they are, as rows and as values: %s", (_, lines) => {
    const text = new TextEncoder().encode(`${dumpRoot}${lines.join("")}`);
    const image = writeErofs(parseDump(text, { rows: true }), { version: 1 });
    expect(image).toEqual(writeErofs(parseDump(text), { version: 1 }));
    expect(writeDump(readErofsImage(image).tree)).toBe(`${dumpRoot}${lines.join("")}`);
  });

  test("writeErofs: digests of two lengths are kept beside each other", () => {
    const parse = (digest: string, algorithm: VerityAlgorithm) => {
      const text = new TextEncoder().encode(`${dumpRoot}${line("f", digest)}`);
      return parseDump(text, { algorithm, rows: true }).root.entries.get(bytes("f")) as Inode;
    };
    const [short, long] = [parse(one, "sha256"), parse(two.repeat(2), "sha512")];
    for (const from of [tree({ a: short, b: long }), tree({ a: long, b: short })]) {
      const image = writeErofs(from, { version: 1 });
      expect(writeDump(readErofsImage(image).tree)).toBe(writeDump(from));
    }
  });

  test("writeErofs: a digest without a path is kept", () => {
    const image = writeErofs(tree({ a: outside(one, undefined), b: outside(one, "") }), { version: 1 });
    expect([...dumpLines(readErofsImage(image).tree)].slice(1)).toEqual([
      `/a 9 100755 1 0 0 0 0.0 - - ${one}\n`,
      `/b 9 100755 1 0 0 0 0.0 - - ${one}\n`,
    ]);
  });

  test("writeErofs: the shared table is in descending order of digests and paths of one length", () => {
    const image = writeErofs(tree({ a: own(one), b: own(one), c: own(two), d: own(two) }), { version: 1 });
    const text = new TextDecoder("latin1").decode(image);
    expect(text.indexOf(`/22/${two.slice(2)}`)).toBeLessThan(text.indexOf(`/11/${one.slice(2)}`));
    expect(text.indexOf("\x22".repeat(32))).toBeLessThan(text.indexOf("\x11".repeat(32)));
    expect(timesStored(image, "\x11".repeat(32))).toBe(1);
  });
});
