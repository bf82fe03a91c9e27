import { describe, expect, test, vi } from "vitest";
import { OsdeployError } from "../../../src/core/errors.ts";
import { PassingFailure } from "../../../src/image-source/http-failure.ts";
import { withRetries } from "../../../src/image-source/retry.ts";
import { retryAfterMs } from "../../../src/image-source/retry-after.ts";

describe("retryAfterMs", () => {
  const date = "Sun, 06 Nov 1994 08:49:37 GMT";

  test.each([
    [undefined, date, undefined],
    ["0", date, 0],
    ["7", undefined, 7_000],
    ["999999999", undefined, 100_000_000],
    ["Sun, 06 Nov 1994 08:50:07 GMT", date, 30_000],
    ["Sun, 06 Nov 1994 08:49:07 GMT", date, 0],
    ["Wed, 06 Nov 2094 08:49:07 GMT", date, 100_000_000],
    ["Sun, 06 Nov 1994 08:50:07 GMT", undefined, undefined],
    ["Sun, 06 Now 1994 08:50:07 GMT", date, undefined],
    ["soon", date, undefined],
    ["-1", date, undefined],
    ["1.5", date, undefined],
  ])("%j at %j is %j ms", (retryAfter, now, expected) => {
    expect(retryAfterMs({ retryAfter, date: now })).toBe(expected);
  });
});

describe("withRetries: how long it waits", () => {
  async function waits(failures: readonly (number | undefined)[], random: number): Promise<readonly number[]> {
    vi.useFakeTimers();
    try {
      const starts: number[] = [];
      const options = { tries: failures.length + 1, delayMs: 1_000, random: () => random, signal: undefined };
      const done = withRetries(options, async () => {
        const waitMs = failures[starts.length];
        starts.push(Date.now());
        if (starts.length <= failures.length) throw new PassingFailure(new OsdeployError("network", "busy"), waitMs);
      });
      await vi.runAllTimersAsync();
      await done;
      return starts.slice(1).map((start, index) => start - (starts[index] ?? 0));
    } finally {
      vi.useRealTimers();
    }
  }

  test("doubles with each failure; half of it is chance", async () => {
    expect(await waits([undefined, undefined, undefined], 0)).toEqual([500, 1_000, 2_000]);
    expect(await waits([undefined, undefined, undefined], 1)).toEqual([1_000, 2_000, 4_000]);
  });

  test("what the server asks for is the least; a minute is the most", async () => {
    expect(await waits([5_000], 0)).toEqual([5_000]);
    expect(await waits([5_000], 0.5)).toEqual([5_500]);
    expect(await waits([3_600_000], 1)).toEqual([60_000]);
  });
});
