import { expect, test } from "vitest";
import { OsdeployError } from "../../../src/core/errors.ts";
import { failureOf, threadFailure } from "../../../src/operations/thread-failure.ts";

test("an error of ours comes out of another thread as it went in", () => {
  const error = new OsdeployError("no-space", "Cannot write: the disk is full", { facts: { bytes: 7 } });
  expect(failureOf(structuredClone(threadFailure(error)))).toEqual(error);
  expect(failureOf(structuredClone(threadFailure(error)))).toBeInstanceOf(OsdeployError);
});

test("a bug keeps its stack", () => {
  const bug = new TypeError("x is not a function");
  const told = failureOf(structuredClone(threadFailure(bug)));
  expect(told).not.toBeInstanceOf(OsdeployError);
  expect(told.stack).toBe(bug.stack);
  expect(failureOf(threadFailure("thrown"))).toMatchObject({ stack: "thrown" });
});

test("a bug without a stack is told by its message", () => {
  const bug = new Error("no stack");
  Object.assign(bug, { stack: undefined });
  expect(failureOf(threadFailure(bug)).stack).toBe("no stack");
});
