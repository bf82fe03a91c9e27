import { expect, test } from "vitest";
import { releaseMemory } from "../../../src/linux/live-memory.ts";

test("releaseMemory: collects what nothing refers to any more, as often as it is called", async () => {
  for (let time = 0; time < 2; time++) {
    const reference = new WeakRef({});
    // What was just made or looked at is kept until the job ends.
    await new Promise(setImmediate);
    releaseMemory();
    expect(reference.deref()).toBeUndefined();
  }
});
