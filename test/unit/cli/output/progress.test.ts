import { describe, expect, test } from "vitest";
import { openProgress, type ProgressMode } from "../../../../src/cli/output/progress.ts";
import type { ProgressEvent } from "../../../../src/operations/progress.ts";
import { FakeCliIo, type FakeCliIoOptions } from "../../../fakes/fake-cli-io.ts";

const digests = ["a", "b"].map((letter) => `sha256:${letter.repeat(64)}`) as [string, string];

const pull: readonly (readonly [atMs: number, ProgressEvent])[] = [
  [0, { kind: "start", task: "pull", subject: "quay.io/os:1" }],
  [0, { kind: "phase", phase: "resolve" }],
  [
    10,
    {
      kind: "layers",
      layers: [
        { digest: digests[0], sizeBytes: 2_000_000, known: true },
        { digest: digests[1], sizeBytes: 8_000_000, known: false },
      ],
    },
  ],
  [20, { kind: "layer-started", digest: digests[1] }],
  [40, { kind: "layer-advanced", digest: digests[1], bytes: 100 }],
  [1020, { kind: "layer-advanced", digest: digests[1], bytes: 4_000_000 }],
  [1030, { kind: "warning", message: "The clock is wrong; times are taken from the image" }],
  [2020, { kind: "layer-finished", digest: digests[1] }],
  [2030, { kind: "phase", phase: "sync" }],
  [2300, { kind: "phase-advanced", done: 1, total: 4 }],
  [2500, { kind: "done" }],
];

interface Shown extends FakeCliIoOptions {
  readonly quiet?: boolean;
  /** Whether the operation fails in the middle of it. */
  readonly fails?: boolean;
}

function show(mode: ProgressMode, { quiet, fails = false, ...options }: Shown = {}): string {
  const io = new FakeCliIo(options);
  let now = 0;
  const renderer = openProgress({ mode, quiet }, io, () => now);
  for (const [at, event] of fails ? pull.slice(0, 6) : pull) {
    now = at;
    renderer.show(event);
  }
  renderer.end();
  expect(io.stdout.text).toBe("");
  return io.stderr.text;
}

const upAndClear = new RegExp(`(${String.fromCharCode(27)}\\[\\d+A${String.fromCharCode(27)}\\[J)`);

/** What a terminal shows in the end: knows "up N lines" and "clear to the end" only. */
function screen(written: string): string {
  const lines: string[] = [];
  for (const part of written.split(upAndClear)) {
    const up = /\[(\d+)A/.exec(part)?.[1];
    if (up !== undefined) lines.length -= Number(up);
    else lines.push(...part.split("\n").slice(0, -1));
  }
  return lines.join("\n");
}

describe("plain", () => {
  test("progress: in a pipe each thing that happened is one line", () => {
    expect(show("auto")).toBe(
      [
        "Pulling quay.io/os:1",
        "Resolving the image",
        "Layer 1/2 aaaaaaaaaaaa: already there (2.0 MB)",
        "osdeploy: warning: The clock is wrong; times are taken from the image",
        "Layer 2/2 bbbbbbbbbbbb: done (8.0 MB)",
        "Syncing to disk",
        "",
      ].join("\n"),
    );
  });

  test("progress: a long pull tells every ten seconds how far the whole is", () => {
    const io = new FakeCliIo();
    let now = 0;
    const renderer = openProgress({ mode: "plain" }, io, () => now);
    renderer.show({ kind: "layers", layers: [{ digest: digests[1], sizeBytes: 40_000_000, known: false }] });
    for (now = 1000; now <= 21_000; now += 1000) {
      renderer.show({ kind: "layer-advanced", digest: digests[1], bytes: now * 1000 });
    }
    expect(io.stderr.text).toBe(
      "Layers 0/1  10.0 MB of 40.0 MB  25 %  1.0 MB/s  30 s left\n" +
        "Layers 0/1  20.0 MB of 40.0 MB  50 %  1.0 MB/s  20 s left\n",
    );
  });

  test.each(["push", "copy"] as const)("progress: a %s puts nothing into a repo, and says so", (task) => {
    const io = new FakeCliIo();
    const renderer = openProgress({ mode: "plain" }, io, () => 0);
    renderer.show({ kind: "start", task, subject: "oci:os" });
    for (const phase of ["resolve", "layers", "publish"] as const) renderer.show({ kind: "phase", phase });
    expect(io.stderr.text.split("\n").slice(1)).toEqual([
      "Resolving the image",
      "Copying layers",
      "Setting the name",
      "",
    ]);
  });

  test("progress: a terminal that cannot move its cursor gets plain lines", () => {
    expect(show("auto", { terminal: 80, environment: { TERM: "dumb" } })).toBe(show("plain"));
  });
});

describe("terminal", () => {
  test("progress: what is over stays, and the block below is gone in the end", () => {
    const written = show("auto", { terminal: 100, environment: { NO_COLOR: "1" } });
    expect(screen(written)).toBe(
      [
        "Pulling quay.io/os:1",
        "  aaaaaaaaaaaa    2.0 MB  already there",
        "osdeploy: warning: The clock is wrong; times are taken from the image",
        "  bbbbbbbbbbbb    8.0 MB  done",
      ].join("\n"),
    );
  });

  test("progress: a moving layer has a line, and the whole has one with bytes, share, rate and time left", () => {
    const written = show("terminal", { terminal: 100, environment: { NO_COLOR: "1" }, fails: true });
    expect(written).toContain(
      "  bbbbbbbbbbbb    8.0 MB  [############            ]   50 %\n" +
        "Layers 1/2  4.0 MB of 8.0 MB  50 %  4.0 MB/s  1.0 s left\n",
    );
  });

  test("progress: at most ten pictures a second are drawn", () => {
    const io = new FakeCliIo({ terminal: 80 });
    let now = 0;
    const renderer = openProgress({ mode: "terminal" }, io, () => now);
    renderer.show({ kind: "layers", layers: [{ digest: digests[1], sizeBytes: 1000, known: false }] });
    const before = io.stderr.text.split("\x1b[J").length;
    for (now = 1; now <= 1000; now++) renderer.show({ kind: "layer-advanced", digest: digests[1], bytes: now });
    expect(io.stderr.text.split("\x1b[J").length - before).toBe(10);
  });

  test("progress: on a narrow terminal no line wraps", () => {
    const written = show("terminal", { terminal: 30, environment: { NO_COLOR: "1" }, fails: true });
    const block = written.split("\n").filter((line) => line.includes("Layers 1/2") || line.includes("8.0 MB"));
    expect(block.length).toBeGreaterThan(1);
    for (const line of block) expect(line.replace(upAndClear, "").length).toBeLessThan(30);
    // Not "Layers 1/2  4.0 MB of 8.0 MB ", and in other widths not half a rate.
    expect(block).toContain("Layers 1/2  4.0 MB of 8.0 MB");
  });

  test("progress: the block is no higher than the terminal, and keeps the line of the whole", () => {
    const io = new FakeCliIo({ terminal: 80 });
    const renderer = openProgress({ mode: "terminal" }, io, () => 0);
    const layers = Array.from({ length: 64 }, (_, at) => ({ digest: `sha256:${at}`, sizeBytes: 10, known: false }));
    renderer.show({ kind: "layers", layers });
    for (const { digest } of layers) renderer.show({ kind: "layer-started", digest });
    renderer.show({ kind: "phase", phase: "layers" });
    const block = io.stderr.text.split("\x1b[J").at(-1)?.trimEnd().split("\n") ?? [];
    expect([block.length, block.at(-1)]).toEqual([23, expect.stringMatching(/^Layers 0\/64 /)]);
  });

  test("progress: colours are used on a terminal, unless NO_COLOR is set", () => {
    expect(show("terminal", { terminal: 80, environment: {} })).toContain("\x1b[1mPulling");
    expect(show("terminal", { terminal: 80, environment: { NO_COLOR: "1" } })).not.toContain("\x1b[1m");
  });

  test("progress: a phase with pieces says how many are done", () => {
    expect(show("terminal", { terminal: 80 })).toContain("Syncing to disk  1 of 4  25 %\n");
  });
});

describe("json", () => {
  const lines = (text: string): { readonly type: string }[] =>
    text
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));

  test("progress: JSON lines have bootc's types and names", () => {
    const values = lines(show("json"));
    expect(values.map((value) => value.type)).toEqual([
      ...["Start", "ProgressSteps", "ProgressBytes", "ProgressBytes", "ProgressBytes", "ProgressBytes"],
      ...["Warning", "ProgressBytes", "ProgressSteps", "ProgressSteps", "Done"],
    ]);
    expect(values[0]).toEqual({ type: "Start", version: "0.1.0", task: "pull", id: "quay.io/os:1" });
    expect(values[5]).toEqual({
      type: "ProgressBytes",
      task: "pull",
      description: "Pulling quay.io/os:1",
      id: "quay.io/os:1",
      bytesCached: 2_000_000,
      bytes: 4_000_000,
      bytesTotal: 8_000_000,
      stepsCached: 1,
      steps: 1,
      stepsTotal: 2,
      bytesPerSecond: 4_000_000,
      secondsLeft: 1,
      subtasks: [
        {
          subtask: "layer",
          description: "layer aaaaaaaaaaaa",
          id: digests[0],
          bytesCached: 2_000_000,
          bytes: 0,
          bytesTotal: 0,
        },
        {
          subtask: "layer",
          description: "layer bbbbbbbbbbbb",
          id: digests[1],
          bytesCached: 0,
          bytes: 4_000_000,
          bytesTotal: 8_000_000,
        },
      ],
    });
  });

  test("progress: when asked to be quiet, warnings are the only JSON lines", () => {
    const message = "The clock is wrong; times are taken from the image";
    expect(lines(show("json", { quiet: true }))).toEqual([{ type: "Warning", message }]);
  });
});

test("progress: with none only warnings are shown", () => {
  const warning = "osdeploy: warning: The clock is wrong; times are taken from the image\n";
  expect(show("none")).toBe(warning);
  for (const mode of ["auto", "terminal", "plain"] as const) expect(show(mode, { quiet: true })).toBe(warning);
});
