import { describe, expect, test } from "vitest";
import { ProgressTally } from "../../../../src/cli/output/progress-tally.ts";

function pulling(): ProgressTally {
  const tally = new ProgressTally();
  tally.add({ kind: "start", task: "pull", subject: "quay.io/os:1" }, 0);
  const layers = [
    { digest: "sha256:a", sizeBytes: 100, known: true },
    { digest: "sha256:b", sizeBytes: 1000, known: false },
    { digest: "sha256:c", sizeBytes: 3000, known: false },
  ];
  tally.add({ kind: "layers", layers }, 0);
  return tally;
}

describe("ProgressTally", () => {
  test("ProgressTally: known layers count as done, and not as bytes to move", () => {
    expect(pulling().overall()).toEqual({
      bytes: 0,
      totalBytes: 4000,
      knownBytes: 100,
      layersDone: 1,
      layers: 3,
      bytesPerSecond: undefined,
      secondsLeft: undefined,
    });
  });

  test("ProgressTally: the rate is that of the last five seconds, and gives the time left", () => {
    const tally = pulling();
    tally.add({ kind: "layer-started", digest: "sha256:b" }, 0);
    tally.add({ kind: "layer-advanced", digest: "sha256:b", bytes: 500 }, 1000);
    expect(tally.overall()).toMatchObject({ bytes: 500, bytesPerSecond: 500, secondsLeft: 7 });
    tally.add({ kind: "layer-finished", digest: "sha256:b" }, 5000);
    tally.add({ kind: "layer-advanced", digest: "sha256:c", bytes: 1000 }, 6000);
    // The sample at 0 is too old: 1500 bytes came from 1000 to 6000.
    expect(tally.overall()).toMatchObject({ bytes: 2000, bytesPerSecond: 300, layersDone: 2 });
  });

  test("ProgressTally: a layer never has more bytes than its size", () => {
    const tally = pulling();
    tally.add({ kind: "layer-advanced", digest: "sha256:b", bytes: 5000 }, 1);
    expect(tally.layer("sha256:b")).toMatchObject({ bytes: 1000, state: "moving" });
  });

  test("ProgressTally: a layer that is finished stays so when an older report comes late", () => {
    const tally = pulling();
    tally.add({ kind: "layer-finished", digest: "sha256:b" }, 1);
    tally.add({ kind: "layer-advanced", digest: "sha256:b", bytes: 10 }, 2);
    expect(tally.layer("sha256:b")).toMatchObject({ state: "finished", bytes: 1000 });
  });

  test("ProgressTally: an event about a layer nobody named changes nothing", () => {
    const tally = pulling();
    tally.add({ kind: "layer-finished", digest: "sha256:x" }, 1);
    expect(tally.layers()).toHaveLength(3);
    expect(tally.overall().bytes).toBe(0);
  });

  test("ProgressTally: a new phase starts without pieces done", () => {
    const tally = pulling();
    tally.add({ kind: "phase", phase: "sync" }, 1);
    tally.add({ kind: "phase-advanced", done: 3, total: 9 }, 1);
    expect(tally.phaseDone).toMatchObject({ done: 3, total: 9 });
    tally.add({ kind: "phase", phase: "publish" }, 2);
    expect([tally.phase, tally.phaseDone]).toEqual(["publish", undefined]);
    tally.add({ kind: "done" }, 3);
    expect(tally.phase).toBe("publish");
  });
});
