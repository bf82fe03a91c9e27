import { expect, test } from "vitest";
import { sideBySide } from "../../../src/operations/side-by-side.ts";

test("sideBySide: all are done, so many at a time", async () => {
  let running = 0;
  let most = 0;
  const done: number[] = [];
  await sideBySide([1, 2, 3, 4, 5], 2, async (item) => {
    most = Math.max(most, ++running);
    await new Promise((resolve) => setTimeout(resolve, 1));
    running--;
    done.push(item);
  });
  expect([most, done.sort()]).toEqual([2, [1, 2, 3, 4, 5]]);
});

test("sideBySide: after a failure none begins any more, those that have begun end, and it is thrown", async () => {
  const done: number[] = [];
  const acting = sideBySide([1, 2, 3, 4], 2, async (item) => {
    if (item === 1) throw new Error("one");
    await new Promise((resolve) => setTimeout(resolve, 5));
    done.push(item);
  });
  await expect(acting).rejects.toThrow("one");
  expect(done).toEqual([2]);
});
