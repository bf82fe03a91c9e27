import { expect, test } from "vitest";
import { OsdeployError } from "../../../src/core/errors.ts";
import { asManyAs, startThread, threadError } from "../../../src/operations/start-thread.ts";

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

test("asManyAs: all, or those that came before one failed; with none it is told", () => {
  const until = (limit: number) => (number: number) => {
    if (number === limit) throw new Error(`no ${number}`);
    return number;
  };
  expect(asManyAs(3, until(9))).toEqual([0, 1, 2]);
  expect(asManyAs(3, until(2))).toEqual([0, 1]);
  expect(() => asManyAs(3, until(0))).toThrow("no 0");
});
