import { describe, expect, test } from "vitest";
import { LinkMeter } from "../../../../src/core/oci/link-meter.ts";

const lots = 1_000_000;

/** A meter that has seen as many answers as it takes, each after so long. */
function meterAfter(latencyMs: number): LinkMeter {
  const meter = new LinkMeter();
  for (let i = 0; i < 8; i++) {
    meter.begin(0, latencyMs);
    meter.end(0, false);
  }
  return meter;
}

describe("LinkMeter", () => {
  test("says nothing at first, nor of the bandwidth by a few bytes", () => {
    const meter = new LinkMeter();
    meter.begin(0, 500);
    meter.add(lots);
    meter.end(1000, true);
    expect(meter.speed).toEqual({ latencySeconds: 0, bytesPerSecond: 0 });
    const few = meterAfter(20);
    few.begin(0, 20);
    few.add(100);
    few.end(1000, true);
    expect(few.speed).toEqual({ latencySeconds: 0.02, bytesPerSecond: 0 });
  });

  test("who knows the latency already needs no answers to say it, and late ones among the first change nothing", () => {
    const meter = new LinkMeter(300);
    expect(meter.speed).toEqual({ latencySeconds: 0.3, bytesPerSecond: 0 });
    const answer = (latencyMs: number) => {
      meter.begin(0, latencyMs);
      meter.add(lots);
      meter.end(1000, true);
      return meter.speed.latencySeconds;
    };
    for (let n = 1; n < 8; n++) expect(answer(400)).toBeCloseTo(0.3);
    expect(meter.speed.bytesPerSecond).toBe(lots);
    expect(answer(200)).toBeCloseTo(0.2);
    expect(answer(400)).toBeCloseTo(0.22);
    expect(answer(20)).toBeCloseTo(0.02);
  });

  test("says what all answers together brought while any was coming", () => {
    const meter = meterAfter(1);
    meter.begin(0, 1);
    meter.begin(100, 1);
    meter.add(lots);
    meter.add(lots);
    meter.end(1000, true);
    expect(meter.speed.bytesPerSecond).toBe(2 * lots);
    meter.end(1000, true);
    // Nothing came for an hour.
    meter.begin(3_600_000, 1);
    meter.add(2 * lots);
    meter.end(3_601_000, true);
    expect(meter.speed.bytesPerSecond).toBe(2 * lots);
  });

  test("counts no time of an answer whose bytes do not count", () => {
    const meter = meterAfter(1);
    meter.begin(0, 1);
    meter.end(10_000, false);
    meter.begin(20_000, 1);
    meter.add(lots / 2);
    // Of another one that comes meanwhile the link's time is as well.
    meter.begin(20_250, 1);
    meter.end(20_500, false);
    meter.add(lots / 2);
    meter.end(21_000, true);
    expect(meter.speed.bytesPerSecond).toBe(lots);
  });

  test("puts few bytes to those that come next", () => {
    const meter = meterAfter(1);
    for (const now of [0, 1000]) {
      meter.begin(now, 1);
      meter.add(10_000);
      meter.end(now + 500, true);
    }
    expect(meter.speed.bytesPerSecond).toBe(20_000);
  });

  test("follows a link that changes: slowly where answers come later, at once where they come earlier", () => {
    const meter = meterAfter(100);
    meter.begin(0, 200);
    expect(meter.speed.latencySeconds).toBeCloseTo(0.11);
    for (let i = 0; i < 50; i++) meter.begin(0, 200);
    expect(meter.speed.latencySeconds).toBeCloseTo(0.2);
    meter.begin(0, 50);
    expect(meter.speed.latencySeconds).toBeCloseTo(0.05);
    meter.add(lots);
    meter.end(0, true);
    expect(meter.speed.bytesPerSecond).toBe(1000 * lots);
  });
});
