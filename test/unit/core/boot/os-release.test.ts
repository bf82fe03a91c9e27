import { expect, test } from "vitest";
import { parseOsRelease } from "../../../../src/core/boot/os-release.ts";

test("parseOsRelease: takes values out of double quotes, single quotes and none", () => {
  const text = 'ID=debian\nPRETTY_NAME="Debian \\"13\\" \\$x"\nVERSION_ID=\'13\'\n# a comment\n\nnonsense\n';
  expect(parseOsRelease(text)).toEqual({ id: "debian", prettyName: 'Debian "13" $x', version: "13" });
});

test("parseOsRelease: prefers IMAGE_VERSION, then VERSION_ID, then VERSION", () => {
  expect(parseOsRelease("VERSION=c").version).toBe("c");
  expect(parseOsRelease("VERSION=c\nVERSION_ID=b").version).toBe("b");
  expect(parseOsRelease("VERSION=c\nVERSION_ID=b\nIMAGE_VERSION=a").version).toBe("a");
});

test("parseOsRelease: falls back to the specification's defaults when the file says nothing", () => {
  expect(parseOsRelease("")).toEqual({ id: "linux", prettyName: "Linux", version: "" });
});

test("parseOsRelease: keeps an unfinished quote from eating the value", () => {
  expect(parseOsRelease('PRETTY_NAME="Half').prettyName).toBe("Half");
  expect(parseOsRelease('PRETTY_NAME="').prettyName).toBe("Linux");
});

test("parseOsRelease: turns control characters of a hostile image into spaces", () => {
  expect(parseOsRelease("PRETTY_NAME=a\x1b[2Jb\tc").prettyName).toBe("a [2Jb c");
});

test("parseOsRelease: a value keeps white space in it, and as much as a hostile image likes takes no time", () => {
  expect(parseOsRelease("  ID=a b \r\nVERSION = 1\n=x").id).toBe("a b");
  const much = " ".repeat(1 << 20);
  expect(parseOsRelease(`VERSION=a${much}b`).version).toBe(`a${much}b`);
});
