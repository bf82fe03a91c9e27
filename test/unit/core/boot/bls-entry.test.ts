import { expect, test } from "vitest";
import {
  blsField,
  blsOptions,
  formatBlsEntry,
  imageVersion,
  parseBlsEntry,
} from "../../../../src/core/boot/bls-entry.ts";

const text = 'title Debian; 13 # not a comment\nversion 3\nlinux /a/vmlinuz\noptions rw x="a; b"\noptions quiet\n';

test("parseBlsEntry: what formatBlsEntry wrote comes back, semicolons, quotes and repeated keys included", () => {
  expect(formatBlsEntry(parseBlsEntry(text))).toBe(text);
});

test("parseBlsEntry: passes over comments, empty lines and keys without value", () => {
  expect(parseBlsEntry("# comment\n\n  \nalone\nkey\tvalue  \n")).toEqual({ fields: [{ key: "key", value: "value" }] });
});

test("parseBlsEntry: refuses a file that is no boot entry by its size", () => {
  expect(() => parseBlsEntry("x".repeat(70_000))).toThrow(/larger than 65536 bytes/);
});

test("blsField: gives the first value of a key", () => {
  expect(blsField(parseBlsEntry(text), "options")).toBe('rw x="a; b"');
  expect(blsField(parseBlsEntry(text), "efi")).toBeUndefined();
});

test("blsOptions: joins all options lines", () => {
  expect(blsOptions(parseBlsEntry(text))).toBe('rw x="a; b" quiet');
});

test("formatBlsEntry: refuses what would not read back the same", () => {
  for (const field of [
    { key: "two words", value: "x" },
    { key: "#title", value: "x" },
    { key: "title", value: "a\nlinux /evil" },
    { key: "title", value: " spaced" },
    { key: "title", value: "" },
  ]) {
    expect(() => formatBlsEntry({ fields: [field] })).toThrow(/Cannot write the boot entry/);
  }
});

test.each([
  ["version 12-41.2\n", "41.2"],
  ["version 12\n", undefined],
  ["version trixie\n", "trixie"],
  ["title x\n", undefined],
])("imageVersion: %j has %s", (entry, version) => {
  expect(imageVersion(parseBlsEntry(entry))).toBe(version);
});
