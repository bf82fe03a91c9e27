import { describe, expect, test } from "vitest";
import { type ByteString, toBytes } from "../../../../src/core/bytes/byte-string.ts";
import { parseDump } from "../../../../src/core/tree/dump-parser.ts";
import { writeDump } from "../../../../src/core/tree/dump-writer.ts";

const root = "/ 0 40755 2 0 0 0 0.0 - - -\n";

function parse(lines: string, options?: Parameters<typeof parseDump>[1]) {
  return parseDump(toBytes(`${root}${lines}` as ByteString), options);
}

/** The dump of what `lines` say, without the root. */
function reread(lines: string, options?: Parameters<typeof parseDump>[1]): string {
  return writeDump(parse(lines, options)).slice(root.length);
}

function refusal(lines: string, message: string, options?: Parameters<typeof parseDump>[1]) {
  expect(() => parse(lines, options)).toThrow(expect.objectContaining({ code: "bad-format", message }));
}

describe("numbers", () => {
  test("parseDump: a bad group or device number counts as 0 when the user is not 0", () => {
    expect(reread("/f 0 100644 1 7 x 0 0.0 - - -\n")).toBe("/f 0 100644 1 7 0 0 0.0 - - -\n");
    expect(reread("/f 0 20644 1 7 0 x 0.0 - - -\n")).toBe("/f 0 20644 1 7 0 0 0.0 - - -\n");
    refusal("/f 0 100644 1 0 x 0 0.0 - - -\n", "Invalid integer x");
    refusal("/f 0 100644 1 0 0 x 0.0 - - -\n", "Invalid integer x");
  });

  test("parseDump: an odd group is taken as strtoull takes it when the user is not 0", () => {
    expect(reread("/f 0 100644 1 7 +5 0 0.0 - - -\n")).toBe("/f 0 100644 1 7 5 0 0.0 - - -\n");
  });

  test.each([
    ["-1", "4294967295"],
    ["4294967297", "1"],
    ["\t\v\f\r+0009", "9"],
    ["-99999999999999999999999999", "4294967295"],
    ["18446744073709551616", "4294967295"],
    ["0000000000000000000000000000000012", "12"],
  ])("parseDump: the number of links %j is %s", (written, meant) => {
    expect(reread(`/f 0 100644 ${written} 0 0 0 0.0 - - -\n`)).toBe(`/f 0 100644 ${meant} 0 0 0 0.0 - - -\n`);
  });

  test.each(["+", "1x", "0x10", "1 ", "\t", "--1"])("parseDump: %j is no number", (written) => {
    expect(() => parse(`/f 0 100644 ${written} 0 0 0 0.0 - - -\n`)).toThrow("Invalid");
  });

  test("parseDump: a long run of digits takes no long time", () => {
    refusal(`/f 0 100644 ${"0".repeat(500_000)}x 0 0 0 0.0 - - -\n`, `Invalid integer ${"0".repeat(500_000)}x`);
    expect(reread(`/f 0 100644 ${"9".repeat(500_000)} 0 0 0 0.0 - - -\n`)).toContain(" 4294967295 ");
  });

  test("parseDump: times before 1970 and of 64 bits", () => {
    expect(reread("/f 0 100644 1 0 0 0 -5.7 - - -\n")).toContain(" -5.7 ");
    expect(reread("/f 0 100644 1 0 0 0 9223372036854775808.0 - - -\n")).toContain(" -9223372036854775808.0 ");
    refusal("/f 0 100644 1 0 0 0 1 - - -\n", "Invalid integer ");
  });
});

describe("digests", () => {
  const sha256 = "0123456789abcdef".repeat(4);
  const sha512 = sha256 + sha256;

  test("parseDump: 64 digits are taken and the rest is ignored, unless sha512 is asked for", () => {
    const line = (digest: string) => `/f 5 100644 1 0 0 0 0.0 p - ${digest}\n`;
    expect(reread(line(sha512))).toBe(line(sha256));
    expect(reread(line(sha512), { algorithm: "sha512" })).toBe(line(sha512));
    expect(reread(line(sha256.toUpperCase()))).toBe(line(sha256));
  });

  test.each(["", "00", `${sha256.slice(1)}g`])(
    "parseDump: the digest %j is refused where it would be used",
    (digest) => {
      refusal(`/f 5 100644 1 0 0 0 0.0 p - ${digest}\n`, `Invalid digest ${digest}, must be 64 hex digits`);
      expect(reread(`/f 0 100644 1 0 0 0 0.0 p - ${digest}\n`)).toBe("/f 0 100644 1 0 0 0 0.0 - - -\n");
    },
  );

  test("parseDump: a sha256 digest is refused where sha512 is asked for", () => {
    const text = `Invalid digest ${sha256}, must be 128 hex digits`;
    refusal(`/f 5 100644 1 0 0 0 0.0 p - ${sha256}\n`, text, { algorithm: "sha512" });
  });
});

describe("hard links", () => {
  test("parseDump: a link to a directory is refused, whatever its mode says", () => {
    refusal("/l 0 @100644 1 0 0 0 0.0 / - -\n", "Directories can't be hardlinked");
    refusal("/d 0 40755 2 0 0 0 0.0 - - -\n/l 0 @100644 1 0 0 0 0.0 /d - -\n", "Directories can't be hardlinked");
  });

  test("parseDump: a path through a file leads nowhere", () => {
    const lines = "/f 0 100644 1 0 0 0 0.0 - - -\n/l 0 @100644 1 0 0 0 0.0 /f/x - -\n";
    refusal(lines, "No target at /f/x for hardlink");
  });

  test("parseDump: links of links lead to the end, however long the chain is", () => {
    let lines = "/f 1 100644 1 0 0 0 0.0 - a -\n";
    for (let i = 0; i < 20_000; i++) lines += `/l${i} 0 @100644 1 0 0 0 0.0 ${i === 0 ? "f" : `//l${i - 1}`} - -\n`;
    const tree = parse(lines);
    expect(tree.root.entries.get("l19999" as ByteString)).toBe(tree.root.entries.get("f" as ByteString));
    expect(tree.root.links.size).toBe(20_000);
  });

  test("parseDump: a link to itself, and a circle that another link leads into", () => {
    refusal("/a 0 @100644 1 0 0 0 0.0 /a - -\n", "Self-referential hardlink /a");
    const circle =
      "/0 0 @100644 1 0 0 0 0.0 /a - -\n/a 0 @100644 1 0 0 0 0.0 /b - -\n/b 0 @100644 1 0 0 0 0.0 /a - -\n";
    refusal(circle, "cannot write file: Too many levels of symbolic links");
  });
});

describe("strict mode", () => {
  const strict = { strict: true };
  test.each([
    ["/l 1 120777 1 0 0 0 0.0 a x -\n", "Symlink cannot have content"],
    ["/l 1 120777 1 0 0 0 0.0 ab x -\n", "Invalid symlink size 2, must match size 1"],
    ["/l 18446744073709551615 120777 1 0 0 0 0.0 a - -\n", "Invalid symlink size 1, must match size -1"],
    ["/l 1 120777 1 0 0 0 0.0 - x -\n", "Invalid symlink"],
    ["/l 1 120777 1 0 0 7 0.0 - x -\n", "Non-zero devnum on non-device"],
    ["/f 0 100644 1 0 0 7 0.0 - - -\n", "Non-zero devnum on non-device"],
    ["/f 0 100644 1 0 0 4294967296 0.0 - - -\n", "Non-zero devnum on non-device"],
    ["/f 0 100644 1 0 0 0 0.0 - - -", "Missing trailing newline"],
  ])("parseDump: %j is refused", (lines, message) => {
    refusal(lines, message, strict);
  });

  test("parseDump: devices have numbers, and a symlink's size may be right", () => {
    const lines = "/b 0 60644 1 0 0 7 0.0 - - -\n/c 0 20644 1 0 0 7 0.0 - - -\n/l 1 120777 1 0 0 0 0.0 a - -\n";
    expect(reread(lines, strict)).toBe(lines);
    expect(reread("/f 0 100644 1 7 0 x 0.0 - - -\n", strict)).toBe("/f 0 100644 1 7 0 0 0.0 - - -\n");
    expect(reread("/l 0 120777 1 0 0 0 0.0 a  -\n")).toBe("/l 1 120777 1 0 0 0 0.0 a - -\n");
  });
});

describe("xattrs", () => {
  test("parseDump: a second value replaces the first, and what the first cost is free again", () => {
    const long = "v".repeat(32_700);
    expect(reread(`/f 0 100644 1 0 0 0 0.0 - - - user.a=${long} user.a=1\n`)).toContain("- user.a=1\n");
    expect(
      reread(`/f 0 100644 1 0 0 0 0.0 - - - user.b=2 user.a=${"v".repeat(30_000)} user.a=${"w".repeat(30_000)}\n`),
    ).toMatch(/- user.a=w+ user.b=2\n/);
  });

  test("parseDump: more than 65535 bytes of them are refused", () => {
    refusal(`/f 0 100644 1 0 0 0 0.0 - - - ${"x".repeat(65_536)}\n`, "Too many xattrs");
  });
});

test("parseDump: lines longer than a megabyte, and chunks that end in the middle of a line", () => {
  let lines = "";
  for (let i = 0; i < 3000; i++) lines += `/f${i} 5000 100644 1 0 0 0 0.0 - ${"c".repeat(5000)} -\n`;
  const slashes = "/".repeat(1_500_000);
  const tree = parse(`${lines}${slashes}z 0 100644 1 0 0 0 0.0 - - -`);
  expect(tree.root.entries.size).toBe(3001);
  expect(tree.root.entries.get("f2999" as ByteString)).toMatchObject({ content: { bytes: "c".repeat(5000) } });
  expect(tree.root.entries.has("z" as ByteString)).toBe(true);
  expect(() => parse(`${slashes}z 0 100644 1 0 0 0 0.0 - - x\0\n`)).toThrow("at position 1500028");
  expect(parse(`${slashes}z 0 100644 1 0 0 0 0.0 - - -\n${lines}`).root.entries.size).toBe(3001);
});

test("parseDump: a file without bytes of its own in the dump and without a path or a digest", () => {
  expect(reread("/f 5 100644 1 0 0 0 0.0  - -\n")).toBe("/f 5 100644 1 0 0 0 0.0 - - -\n");
});
