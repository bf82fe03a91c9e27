import fc from "fast-check";
import { expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import {
  linkedObject,
  objectLinkTarget,
  objectPath,
  tagFileName,
  tagOfFileName,
} from "../../../src/repo/repo-paths.ts";
import { content, idOf } from "../../builders/repos.ts";

const id = idOf(content(100));

test("objectPath: the first byte of the id is a directory", () => {
  expect(objectPath(fromText("/r"), id)).toBe(`/r/objects/${id.slice(0, 2)}/${id.slice(2)}`);
});

test("linkedObject: reads what objectLinkTarget writes, and nothing else", () => {
  expect(linkedObject(objectLinkTarget(id))).toBe(id);
  for (const target of [
    `../../objects/${id.slice(0, 2)}/${id.slice(2)}`,
    "../objects/ab/cd",
    `../objects/${id}`,
    "/x",
  ]) {
    expect(linkedObject(fromText(target))).toBeUndefined();
  }
});

test("tagFileName: escapes only the slash and the percent sign", () => {
  expect(tagFileName("localhost/bootc-sha256:ab%2F")).toBe("localhost%2Fbootc-sha256:ab%252F");
});

test.each(["", ".", "..", "a\0b", "x".repeat(256)])("tagFileName: refuses %j", (tag) => {
  expect(() => tagFileName(tag)).toThrow(expect.objectContaining({ code: "usage" }));
});

test("tagOfFileName(tagFileName(tag)) is the tag", () => {
  fc.assert(
    fc.property(fc.string({ minLength: 1, maxLength: 60, unit: "grapheme-ascii" }), (tag) => {
      fc.pre(tag !== "." && tag !== ".." && !tag.includes("\0"));
      expect(tagOfFileName(tagFileName(tag))).toBe(tag);
    }),
  );
});
