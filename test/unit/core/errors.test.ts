import { expect, test } from "vitest";
import { OsdeployError, unless, unlessFailing } from "../../../src/core/errors.ts";

const fail = (error: unknown) => () => {
  throw error;
};
const missing = new OsdeployError("not-found", "Cannot find it: it is not there");
const bug = new TypeError("x is undefined");

test("unless: gives what there is, and nothing for an error of this code alone", () => {
  expect(unless("not-found", () => 1)).toBe(1);
  expect(unless("not-found", fail(missing))).toBeUndefined();
  expect(() => unless("busy", fail(missing))).toThrow(missing);
  expect(() => unless("not-found", fail(bug))).toThrow(bug);
});

test("unlessFailing: gives nothing where something outside is wrong, and hides no bug", () => {
  expect(unlessFailing(() => 1)).toBe(1);
  expect(unlessFailing(fail(missing))).toBeUndefined();
  expect(() => unlessFailing(fail(bug))).toThrow(bug);
});
