import { expect, test } from "vitest";
import { type ErrorCode, OsdeployError } from "../../../src/core/errors.ts";
import { isRefusal } from "../../../src/operations/blob-part.ts";

test.each<[ErrorCode, number | undefined, boolean]>([
  ["network", 400, true],
  ["network", 416, true],
  ["network", 499, true],
  ["network", 429, false],
  ["network", 399, false],
  ["network", 500, false],
  ["network", undefined, false],
  ["unauthorized", 403, false],
  ["not-found", 404, false],
])("isRefusal: of %s with the status %j it is %j", (code, status, expected) => {
  const facts = status === undefined ? {} : { status };
  expect(isRefusal(new OsdeployError(code, "Cannot fetch a part", { facts }))).toBe(expected);
  expect(isRefusal(Object.assign(new Error("a bug"), { facts }))).toBe(false);
});
