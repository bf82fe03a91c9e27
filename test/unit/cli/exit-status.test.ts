import { expect, test } from "vitest";
import {
  brokenPipeStatus,
  bugStatus,
  exitStatuses,
  exitStatusOf,
  successStatus,
} from "../../../src/cli/exit-status.ts";
import { OsdeployError } from "../../../src/core/errors.ts";

test("exitStatusOf: each code has its own status, none that means something else to a shell", () => {
  const numbers = Object.values(exitStatuses);
  expect(new Set(numbers).size).toBe(numbers.length);
  expect(numbers.filter((number) => [successStatus, bugStatus, brokenPipeStatus, 126, 127].includes(number))).toEqual(
    [],
  );
});

test("exitStatusOf: usage is 2, an interrupt 130, a bug 1", () => {
  expect(exitStatusOf(new OsdeployError("usage", "x"))).toBe(2);
  expect(exitStatusOf(new OsdeployError("interrupted", "x"))).toBe(130);
  expect(exitStatusOf(new TypeError("x"))).toBe(1);
});
