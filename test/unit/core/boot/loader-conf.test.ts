import { expect, test } from "vitest";
import { choosesAll, defaultPattern } from "../../../../src/core/boot/loader-conf.ts";

test("defaultPattern: is the last line that says one", () => {
  expect(defaultPattern("timeout 3\n# default a\ndefault  b*\r\n\tdefault c\ndefaults d\n")).toBe("c");
  expect(defaultPattern("#default a\ntimeout 3\ndefault \n")).toBeUndefined();
  expect(defaultPattern("")).toBeUndefined();
});

test.each([
  ["osdeploy-*", true],
  ["OSDeploy-*.conf", true],
  ["*", true],
  ["os**", true],
  ["osdeploy-000001.conf", false],
  ["debian-*", false],
  ["*debian*", false],
  ["osdeploy-*.efi", false],
  ["[o]s*", false],
  ["@saved", false],
])("choosesAll: whether %s starts whatever entry of ours comes first is %s", (pattern, expected) => {
  expect(choosesAll(pattern, "osdeploy-")).toBe(expected);
});
