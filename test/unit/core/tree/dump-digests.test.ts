import { expect, test } from "vitest";
import { fromText, toBytes } from "../../../../src/core/bytes/byte-string.ts";
import { parseAnyDump } from "../../../../src/core/tree/dump-digests.ts";
import { writeDump } from "../../../../src/core/tree/dump-writer.ts";

const sha256 = "ab".repeat(32);
const sha512 = "cd".repeat(64);

/** A dump of files with these digests; `-` for none. */
function dump(digests: readonly string[]): string {
  const lines = digests.map((digest, at) => `/${at} 100 100644 1 0 0 0 0.0 x/${at} - ${digest}\n`);
  return `/ 0 40755 2 0 0 0 0.0 - - -\n${lines.join("")}`;
}

const parse = (text: string) => parseAnyDump(toBytes(fromText(text)), { strict: false });

test.each<readonly [string, readonly string[], readonly string[], number]>([
  ["64 digits are sha256", [sha256, "-", sha256], [sha256, "-", sha256], 0],
  ["128 digits everywhere are sha512", [sha512, "-", sha512], [sha512, "-", sha512], 0],
  ["both lengths are cut as mkcomposefs does, and counted", [sha512, sha256], [sha512.slice(0, 64), sha256], 1],
  ["another length is cut as mkcomposefs does, and counted", [`${sha256}ab`], [sha256], 1],
  ["no digest at all is fine", ["-"], ["-"], 0],
])("parseAnyDump: %s", (_what, given, taken, cutDigests) => {
  const { tree, cutDigests: counted } = parse(dump(given));
  expect(writeDump(tree)).toBe(dump(taken));
  expect(counted).toBe(cutDigests);
});

test("parseAnyDump: 128 characters that are no sha512 digest are refused", () => {
  expect(() => parse(dump([`${sha256}${"x".repeat(64)}`]))).toThrow("Invalid digest");
});

test("parseAnyDump: digests of files whose content is inline say nothing", () => {
  const inline = `/i 1 100644 1 0 0 0 0.0 - a ${sha256}\n`;
  expect(parse(dump([sha512]) + inline).cutDigests).toBe(0);
});
