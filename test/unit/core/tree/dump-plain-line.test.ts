import { describe, expect, test } from "vitest";
import { fromText, toBytes } from "../../../../src/core/bytes/byte-string.ts";
import { type DumpOptions, parseDump } from "../../../../src/core/tree/dump-parser.ts";
import { PlainLines, plainKind } from "../../../../src/core/tree/dump-plain-line.ts";
import { dumpLines } from "../../../../src/core/tree/dump-writer.ts";

const digest = "0123456789abcdef".repeat(4);
const path = `${digest.slice(0, 2)}/${digest.slice(2)}`;
const root = "/ 4096 40755 2 0 0 0 0.0 - - -";
const plain = `/f 1000 100644 1 2 3 0 1700000000.5 ${path} - ${digest}`;

const symlink = "/s 6 120777 1 2 3 0 1700000000.5 target - -";

/** As what the line, which ends the text, is read. */
function kindOf(line: string, digestDigits = 64): number {
  const text = toBytes(fromText(`${root}\n${line}\n`));
  return new PlainLines(text, digestDigits).read(root.length + 1, text.length - 1);
}

const isPlain = (line: string, digestDigits = 64) => kindOf(line, digestDigits) === plainKind.file;

describe("PlainLines", () => {
  test.each([
    ["without xattrs", plain],
    ["with xattrs", `${plain} security.selinux=x`],
    [
      "with large numbers",
      plain.replace("1000", "999999999999999").replace(" 1 2 3 ", " 4294967295 4294967295 4294967295 "),
    ],
    ["in a directory", plain.replace("/f", "/a/b/c")],
  ])("takes a line %s", (_, line) => {
    expect(isPlain(line)).toBe(true);
  });

  test.each([
    ["an escape in its path", plain.replace("/f", "/\\x66")],
    ["an escape of digits in its path, and a field less", plain.replace("/f 1000", "/f\\123")],
    ["an escape in a number", plain.replace("1000", "1\\x300")],
    ["a path without slash in front", plain.replace("/f", "f")],
    ["no path", plain.replace("/f", "")],
    ["a path alone", "/f"],
    ["numbers alone", "/f 1000 100644 1 2 3 0 1700000000.5"],
    ["a hard link", plain.replace("100644", "@100644")],
    ["another type", plain.replace("100644", "120644")],
    ["a mode of no type", plain.replace("100644", "644")],
    ["a mode that is not octal", plain.replace("100644", "100648")],
    ["a device number", plain.replace(" 0 17", " 1 17")],
    ["no bytes", plain.replace("1000", "0")],
    ["a number with a sign", plain.replace("1000", "+1000")],
    ["more digits than a double holds", plain.replace("1000", "1000000000000000")],
    ["a number of more than 32 bits", plain.replace(" 1 2 3 ", " 1 4294967296 3 ")],
    ["a time without nanoseconds", plain.replace(".5", "")],
    ["a payload that is not the digest's path", plain.replace(path, `${path.slice(0, -1)}0`)],
    ["a payload without slash", plain.replace(path, `${digest.slice(0, 2)}-${digest.slice(2)}`)],
    ["a longer payload", plain.replace(path, `${path}0`)],
    ["no payload", plain.replace(path, "-")],
    ["content", plain.replace(" - ", " x ")],
    ["longer content", plain.replace(" - ", " -x")],
    ["a digest in capitals", plain.replace(path, path.toUpperCase()).replace(digest, digest.toUpperCase())],
    ["a digest of other letters", plain.replaceAll("a", "g")],
    ["a digest of other signs", plain.replaceAll("9", ":")],
    ["a digest that begins below the digits", plain.replaceAll("0123", "/123")],
    ["a longer digest", `${plain}0`],
    ["a shorter digest", plain.slice(0, -1)],
  ])("leaves a line with %s to others", (_, line) => {
    expect(isPlain(line)).toBe(false);
  });

  test("leaves a line whose payload differs from the digest's path in any place to others", () => {
    for (let at = 0; at < path.length; at++) {
      const other = `${path.slice(0, at)}${path[at] === "0" ? "1" : "0"}${path.slice(at + 1)}`;
      expect(isPlain(plain.replace(path, other))).toBe(false);
    }
  });

  test("takes digests of the length that is wanted only", () => {
    const long = plain.replace(path, `${path}${digest}`).replace(` ${digest}`, ` ${digest}${digest}`);
    expect(isPlain(long, 128)).toBe(true);
    expect(isPlain(long)).toBe(false);
    expect(isPlain(plain, 128)).toBe(false);
  });

  test("a line at the very end of its text is read like any other", () => {
    const text = toBytes(fromText(plain));
    expect(new PlainLines(text, 64).read(0, text.length)).toBe(plainKind.file);
    for (const line of ["/f 1000", "/f", plain.slice(0, -1), plain.slice(0, 60), symlink.slice(0, -1)]) {
      const cut = toBytes(fromText(line));
      expect(new PlainLines(cut, 64).read(0, cut.length)).toBe(plainKind.none);
    }
  });

  test.each([
    ["without xattrs", symlink],
    ["with xattrs", `${symlink} security.selinux=x`],
    ["to a dash and more", symlink.replace("target", "-x")],
    ["of no bytes", symlink.replace(" 6 ", " 0 ")],
    ["to 4095 bytes", symlink.replace("target", "t".repeat(4095))],
  ])("takes a symlink %s", (_, line) => {
    expect(kindOf(line)).toBe(plainKind.symlink);
  });

  test.each([
    ["without target", symlink.replace("target", "")],
    ["to a dash, which is none", symlink.replace("target", "-")],
    ["to 4096 bytes", symlink.replace("target", "t".repeat(4096))],
    ["with an escape in its target", symlink.replace("target", "tar\\x67et")],
    ["with content", symlink.replace("- -", "x -")],
    ["with a digest", symlink.replace("- -", "- x")],
    ["with a digest that begins like none", `${symlink}x`],
    ["whose line ends early", symlink.slice(0, -2)],
    ["with a device number", symlink.replace(" 0 17", " 1 17")],
  ])("leaves a symlink %s to others", (_, line) => {
    expect(kindOf(line)).toBe(plainKind.none);
  });
});

/** The same line for readers of any line: an escape says the first letter of its name. */
const escaped = (line: string) =>
  line.replace(/^(\S*\/)(\S)/, (_, way: string, letter: string) => {
    return `${way}\\x${letter.charCodeAt(0).toString(16)}`;
  });

const tree = (lines: readonly string[], options: DumpOptions = { rows: true }) =>
  parseDump(toBytes(fromText(`${[root, ...lines].join("\n")}\n`)), options);

const outcome = (lines: readonly string[]) => {
  try {
    return [...dumpLines(tree(lines))];
  } catch (error) {
    return String(error);
  }
};

describe("parseDump: a plain line means what it means with an escape in it", () => {
  const directory = "/d 4096 40755 2 0 0 0 0.0 - - -";
  const inDirectory = plain.replace("/f", "/d/f");
  test.each([
    ["in the root", [plain]],
    ["in a directory", [directory, inDirectory]],
    ["in one directory after another", [directory, plain, inDirectory, plain.replace("/f", "/g")]],
    ["with xattrs", [`${plain} user.a=b user.c=d`]],
    ["of a name that begins with a dot", [plain.replace("/f", "/.f")]],
    ["of no name", [directory, plain.replace("/f", "/d/")]],
    ["of the name .", [plain.replace("/f", "/.")]],
    ["of the name ..", [directory, plain.replace("/f", "/d/..")]],
    ["of a name of 256 bytes", [plain.replace("/f", `/${"f".repeat(256)}`)]],
    ["of a name that is taken", [plain, plain]],
    ["in no directory", [inDirectory]],
    ["of a symlink", [symlink, directory, symlink.replace("/s", "/d/s"), `${symlink.replace("/s", "/t")} user.a=b`]],
    ["of a symlink with xattrs that are none", [`${symlink} user.a`]],
    [
      "of a symlink that is too long, with xattrs that are none",
      [`${symlink.replace("target", "t".repeat(4096))} user.a`],
    ],
    ["of a symlink that is hard-linked", [symlink, "/t 0 @120777 1 0 0 0 0.0 /s - -"]],
    ["in a file", [plain, plain.replace("/f", "/f/g")]],
    ["in a directory that is spelled with two slashes", [directory, plain.replace("/f", "//d/f")]],
  ])("%s", (_, lines) => {
    const other = lines.map((line) => (line === directory ? line : escaped(line)));
    const unescapedPath = (text: string) => text.replaceAll("\\x66", "f").replaceAll("\\x2e", ".");
    const [quick, any] = [outcome(lines), outcome(other)];
    expect(quick).toEqual(typeof any === "string" ? unescapedPath(any) : any);
  });

  test("and is a value like any other where rows are not wanted", () => {
    const value = (options: DumpOptions) => ({ ...tree([plain], options).root.entries.get(fromText("f")) });
    expect(value({})).toEqual(tree([escaped(plain)], {}).root.entries.get(fromText("f")));
    expect(value({ rows: true })).not.toEqual(value({}));
  });

  test("strictly: a symlink's size is looked at", () => {
    expect(() => tree([symlink.replace(" 6 ", " 7 ")], { strict: true })).toThrow("Invalid symlink size 6");
    expect([...dumpLines(tree([symlink], { strict: true }))]).toEqual([...dumpLines(tree([symlink]))]);
  });

  test("before there is a root", () => {
    expect(() => parseDump(toBytes(fromText(`${plain}\n`)))).toThrow("Root node not present");
  });
});
