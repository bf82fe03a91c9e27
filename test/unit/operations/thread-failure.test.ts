import { expect, test } from "vitest";
import { OsdeployError } from "../../../src/core/errors.ts";
import { failureOf, startThread, threadError, threadFailure } from "../../../src/operations/thread-failure.ts";

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

test.each([
  [
    "a thread that the kernel does not give",
    "ERR_WORKER_INIT_FAILED",
    "Worker initialization failure: EMFILE",
    "EMFILE",
  ],
  ["a file that it needs and cannot open", "EMFILE", "EMFILE: too many open files, open '/x.js'", "EMFILE"],
  ["none of the kernel's", "ERR_WORKER_OUT_OF_MEMORY", "reached its limit", undefined],
  ["one without a code", undefined, "EMFILE", undefined],
])("the error event of a thread: %s", (_, code, message, errno) => {
  const error = Object.assign(new Error(message), { code });
  const expected = `Cannot start a thread: the kernel refused (${errno})`;
  if (errno === undefined) expect(threadError(error)).toBe(error);
  else expect(threadError(error)).toMatchObject({ code: "system", message: expected, facts: { errno } });
});

test("the error event of a thread: what is no error of the kernel's stays", () => {
  const ours = new OsdeployError("no-space", "Cannot write");
  expect(threadError(ours)).toBe(ours);
  expect(threadError("thrown")).toBe("thrown");
});

test("startThread: what is wrong with its words stays a bug", () => {
  expect(() => startThread(new URL("https://example.com/x.js"), {})).toThrow(TypeError);
});
