import { describe, expect, test } from "vitest";
import type { ByteString } from "../../../../src/core/bytes/byte-string.ts";
import { readErofs, readErofsImage } from "../../../../src/core/erofs/reader.ts";
import { writeErofs } from "../../../../src/core/erofs/writer.ts";
import { parseDump } from "../../../../src/core/tree/dump-parser.ts";
import { writeDump } from "../../../../src/core/tree/dump-writer.ts";
import { type SketchInode, sketchImage } from "../../../builders/sketch-image.ts";

const directory = 0o040755;
const regular = 0o100644;

function dumpOf(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

function refusal(image: Uint8Array, code: string, message: string) {
  expect(() => readErofs(image)).toThrow(expect.objectContaining({ code, message }));
}

/** An image whose root holds one name that leads to `inode`. */
function withInode(inode: SketchInode): Uint8Array {
  return sketchImage([{ mode: directory, names: [["a", 1]] }, inode]);
}

describe("format 2", () => {
  const sha512 = "ab".repeat(64);
  const image = sketchImage([
    {
      mode: directory,
      names: [
        ["dev", 1],
        ["file", 4],
        ["link", 5],
        ["out", 6],
      ],
    },
    {
      mode: directory,
      names: [
        ["gone", 2],
        ["null", 3],
      ],
    },
    { mode: 0o020644, xattrs: [[1, "overlay.whiteout", ""]] },
    { mode: 0o020666, location: 0x103 },
    {
      mode: regular,
      nlink: 2,
      tail: "hello",
      xattrs: [
        [4, "overlay.overlay.whiteouts", ""],
        [6, "selinux", "label"],
      ],
    },
    { mode: 0o120777, tail: "target" },
    {
      mode: regular,
      layout: 4,
      size: 5000,
      location: 31,
      tail: "\xff\xff\xff\xff",
      xattrs: [
        [4, "overlay.metacopy", `\0D\0\x02${"\xab".repeat(64)}`],
        [4, "overlay.redirect", "/ab/cd"],
      ],
    },
  ]);

  test("readErofs: real whiteouts stay, sha512 digests are read, nothing is taken for a mark of ours", () => {
    expect(writeDump(readErofs(image))).toBe(
      [
        "/ 0 40755 3 0 0 0 0.0 - - -",
        "/dev 0 40755 2 0 0 0 0.0 - - -",
        "/dev/gone 0 20644 1 0 0 0 0.0 - - - user.overlay.whiteout=",
        "/dev/null 0 20666 1 0 0 259 0.0 - - -",
        "/file 5 100644 2 0 0 0 0.0 - hello - security.selinux=label trusted.overlay.whiteouts=",
        "/link 6 120777 1 0 0 0 0.0 target - -",
        `/out 5000 100644 1 0 0 0 0.0 ab/cd - ${sha512}`,
        "",
      ].join("\n"),
    );
  });

  test("readErofsImage: composefs-info's view leaves out every device 0:0", () => {
    const { tree, superblock } = readErofsImage(image, { view: "composefs-info" });
    expect(writeDump(tree)).not.toContain("/dev/gone");
    expect(superblock).toMatchObject({ composefsVersion: 2, hasAcl: false, rootNid: 36, buildTimeSeconds: 0n });
  });

  test("readErofs: the first of several names in depth-first order is the file's own", () => {
    const twice = sketchImage([
      {
        mode: directory,
        names: [
          ["d", 1],
          ["z", 2],
        ],
      },
      { mode: directory, names: [["x", 2]] },
      { mode: regular, nlink: 2, tail: "hi" },
    ]);
    expect(writeDump(readErofs(twice)).split("\n").slice(2)).toEqual([
      "/d/x 2 100644 2 0 0 0 0.0 - hi -",
      "/z 2 @100644 2 0 0 0 0.0 /d/x hi -",
      "",
    ]);
  });
});

test.each([
  ["/", "/"],
  ["a", "a"],
  ["//a", "/a"],
  ["/a", "a"],
])("readErofs: the redirect %j stands for the backing path %j", (redirect, backingPath) => {
  const xattrs = [[4, "overlay.redirect", redirect] as const, [4, "overlay.metacopy", "odd"] as const];
  const tree = readErofs(withInode({ mode: regular, layout: 4, size: 5, xattrs }));
  expect(tree.root.entries.get("a" as ByteString)).toMatchObject({
    content: { kind: "external", sizeBytes: 5n, backingPath, digest: undefined },
  });
});

test("readErofs: in format 1 the place of a file tells which name is its own, whatever comes first", () => {
  const text = "/ 0 40755 3 0 0 0 0.0 - - -\n/a 0 @100644 2 0 0 0 0.0 /d/x - -\n/d 0 40755 2 0 0 0 0.0 - - -\n";
  const dump = `${text}/d/x 2 100644 2 0 0 0 0.0 - hi -\n`;
  const image = writeErofs(parseDump(dumpOf(dump)), { version: 1 });
  expect(writeDump(readErofs(image))).toBe(
    dump.replace("/a 0 @100644 2 0 0 0 0.0 /d/x -", "/a 2 @100644 2 0 0 0 0.0 /d/x hi"),
  );
});

test("readErofs: a format 1 image in another order gets the first name for a file's own", () => {
  const image = sketchImage(
    [
      {
        mode: directory,
        names: [
          ["a", 2],
          ["b", 2],
          ["c", 1],
        ],
      },
      { mode: regular, tail: "1" },
      { mode: regular, nlink: 2, tail: "2" },
    ],
    { version: 1 },
  );
  expect(writeDump(readErofs(image))).toContain("/b 1 @100644 2 0 0 0 0.0 /a 2 -\n");
});

test("readErofsImage: rootEntries keeps these names of the root and what is below them", () => {
  const lines = [
    "/ 0 40755 4 0 0 0 0.0",
    "/a 0 40755 2 0 0 0 0.0",
    "/a/b 0 10644 1 0 0 0 0.0",
    "/b 0 40755 2 0 0 0 0.0",
  ];
  const dump = lines.map((line) => `${line} - - -\n`).join("");
  const image = writeErofs(parseDump(dumpOf(dump)), { version: 0 });
  const { tree } = readErofsImage(image, { rootEntries: new Set(["a" as ByteString]) });
  expect([...tree.root.entries.keys()]).toEqual(["a"]);
  expect(writeDump(tree)).toContain("/a/b 0 10644");
});

test("readErofs: limit-exceeded when directories are nested without end", () => {
  let dump = "/ 0 40755 2 0 0 0 0.0 - - -\n";
  for (let depth = 1; depth <= 4097; depth++) dump += `${"/d".repeat(depth)} 0 40755 2 0 0 0 0.0 - - -\n`;
  const image = writeErofs(parseDump(dumpOf(dump)), { version: 0 });
  refusal(image, "limit-exceeded", "Cannot read the root image: it is more than 4096 directories deep");
});

describe("a hostile image", () => {
  const cases: readonly [string, Uint8Array, string][] = [
    ["a directory with two names", sketchImage([{ mode: directory, names: [["a", 0]] }]), "a directory has two names"],
    ["a root that is none", sketchImage([{ mode: regular }]), "its root is no directory"],
    ["a mode of no type", withInode({ mode: 0o644 }), "an inode has mode 644"],
    ["an empty target", withInode({ mode: 0o120777 }), "a symlink's target has 0 bytes"],
    ["a long target", withInode({ mode: 0o120777, size: 4096 }), "a symlink's target has 4096 bytes"],
    ["a NUL in a target", withInode({ mode: 0o120777, tail: "a\0b" }), "a symlink's target holds a NUL"],
    [
      "an empty name",
      sketchImage([
        {
          mode: directory,
          names: [
            ["", 1],
            ["b", 1],
          ],
        },
        { mode: regular },
      ]),
      `"" cannot be a file's name`,
    ],
    [
      "a slash in a name",
      sketchImage([{ mode: directory, names: [["a/b", 1]] }, { mode: regular }]),
      `"a/b" cannot be a file's name`,
    ],
    [
      "a name that is there twice",
      sketchImage([
        {
          mode: directory,
          names: [
            ["a", 1],
            ["a", 1],
          ],
        },
        { mode: regular },
      ]),
      `a directory has two entries "a"`,
    ],
    [
      "a directory without names",
      sketchImage([{ mode: directory, tail: "\0".repeat(24) }]),
      "a directory does not say how many names it has",
    ],
    [
      "half a directory entry",
      sketchImage([{ mode: directory, size: 30, names: [["a", 1]] }]),
      "a name is outside its directory",
    ],
    [
      "names that run backwards",
      sketchImage([{ mode: directory, tail: `${"\0".repeat(8)}\x18\0\0\0${"\0".repeat(8)}\x10\0\0\0` }]),
      "the names of a directory overlap",
    ],
    [
      "too many shared xattrs",
      withInode({ mode: regular, sharedCount: 9 }),
      "an inode shares more xattrs than it has room for",
    ],
    [
      "inodes that overlap",
      sketchImage([{ mode: directory, size: 2 ** 40, layout: 0, location: 0 }]),
      "a directory does not say how many names it has",
    ],
  ];
  test.each(cases)("readErofs: bad-format for %s", (_, image, reason) => {
    refusal(image, "bad-format", `Cannot read the root image: ${reason}`);
  });

  const unknown: readonly [string, Uint8Array, string][] = [
    [
      "an unknown xattr prefix",
      withInode({ mode: regular, xattrs: [[77, "a", ""]] }),
      "an xattr has the prefix number 77",
    ],
    ["a compressed file", withInode({ mode: regular, layout: 1, size: 3 }), "an inode has data layout 1"],
    ["a chunked directory", sketchImage([{ mode: directory, layout: 4, size: 3 }]), "an inode has data layout 4"],
    ["an unknown inode format", withInode({ mode: regular, format: 0x11 }), "inode 40 has format 17"],
    ["a large inline file", withInode({ mode: regular, size: 5001 }), "a file of 5001 bytes is inline"],
  ];
  test.each(unknown)("readErofs: unsupported for %s", (_, image, reason) => {
    refusal(image, "unsupported", `Cannot read the root image: ${reason}`);
  });

  test("readErofs: bad-format for an xattr that ends after its inode", () => {
    const image = withInode({ mode: regular, xattrs: [[1, "abc", "d"]] });
    image[image.indexOf("a".charCodeAt(0), 1300) - 4] = 200;
    refusal(image, "bad-format", "Cannot read the root image: an xattr is outside its inode");
  });

  test("readErofs: bad-format for an inode behind the image", () => {
    const image = sketchImage([{ mode: directory, names: [["a", 1000]] }]);
    const text = "Cannot read the root image: it points to 2 bytes at 32000, and is 16384 bytes long";
    refusal(image, "bad-format", text);
  });

  test("readErofs: bad-format when files share their data, which would take more memory than the image has", () => {
    const names = Array.from({ length: 20 }, (_, i) => [String(i), i + 1] as const);
    const files = names.map(() => ({ mode: regular, layout: 0, size: 4096, location: 1 }));
    const image = sketchImage([{ mode: directory, names }, ...files]);
    refusal(image, "bad-format", "Cannot read the root image: its parts overlap");
  });

  test.each([
    [
      "shorter than a block",
      (image: Uint8Array) => image.subarray(0, 4095),
      "bad-format",
      "it has 4095 bytes, less than a block",
    ],
    ["of another magic", (image: Uint8Array) => image.fill(0, 0, 4), "bad-format", "it is not a composefs image"],
    [
      "of another header version",
      (image: Uint8Array) => image.fill(2, 4, 5),
      "unsupported",
      "the header has version 2",
    ],
    ["of a later version", (image: Uint8Array) => image.fill(3, 12, 13), "unsupported", "the composefs version is 3"],
    [
      "without a superblock",
      (image: Uint8Array) => image.fill(0, 1024, 1028),
      "bad-format",
      "it holds no EROFS superblock",
    ],
    ["of other blocks", (image: Uint8Array) => image.fill(9, 1036, 1037), "unsupported", "a block has 2^9 bytes"],
    [
      "of other features",
      (image: Uint8Array) => image.fill(8, 1104, 1105),
      "unsupported",
      "it has the EROFS features 8",
    ],
  ])("readErofs: refused when the image is %s", (_, change, code, reason) => {
    refusal(change(sketchImage([{ mode: directory, names: [] }])), code, `Cannot read the root image: ${reason}`);
  });
});

test("readErofs: every cut of an image is refused or read, never anything else", () => {
  const image = withInode({ mode: regular, tail: "x".repeat(100), xattrs: [[6, "selinux", "label"]] });
  for (let length = 4096; length < 16384; length += 512)
    expect(readErofs(image.subarray(0, length)).root.entries.size).toBe(1);
});

test.each([
  ["/a/x/w", "/b/w"],
  ["/b/w", "/a/x/w"],
])(
  "readErofs: a whiteout with two names that are as good by its place has its own, %s, where the directory says so",
  (own, other) => {
    const entries = [
      "/ 0 40755 4 0 0 0 0.0 - - -",
      "/a 0 40755 3 0 0 0 0.0 - - -",
      "/a/x 0 40755 2 0 0 0 0.0 - - -",
      "/b 0 40755 2 0 0 0 0.0 - - -",
      `${own} 0 20000 2 0 0 0 0.0 - - -`,
      `${other} 0 @20000 2 0 0 0 0.0 ${own} - -`,
    ];
    for (const version of [0, 1] as const) {
      const image = writeErofs(parseDump(dumpOf(`${entries.join("\n")}\n`)), { version });
      const tree = readErofs(image);
      expect(Buffer.compare(writeErofs(tree, { version }), image)).toBe(0);
      expect(writeDump(tree)).toContain(`${other} 0 @20000 2 0 0 0 0.0 ${own} - -`);
    }
  },
);
