import { expect, test } from "vitest";
import { Frame } from "../../../src/cli/frame.ts";
import type { OsdeployError } from "../../../src/core/errors.ts";
import { FakeCliIo } from "../../fakes/fake-cli-io.ts";
import { FakeLinux } from "../../fakes/fake-linux.ts";

const linux = new FakeLinux({ now: 1_700_000_000_000 });
const nothing = { text: () => "" };

test.each([
  ["SIGHUP", 129],
  ["SIGINT", 130],
  ["SIGTERM", 143],
] as const)(
  "Frame: %s ends an operation that writes with status %i, and keeps its own error as the cause",
  async (name, status) => {
    const io = new FakeCliIo({ linux });
    const frame = new Frame(io, { progress: "auto" });
    const stopped = frame.write(async (system) => {
      io.stop(name);
      expect(system.signal.aborted).toBe(true);
      throw new Error("the worker was stopped");
    }, nothing);
    const error: OsdeployError = await stopped.then(
      () => undefined,
      (thrown) => thrown,
    );
    expect([error.code, error.message, frame.status]).toEqual([
      "interrupted",
      `Stopped by ${name}: nothing is half done, and running it again goes on`,
      status,
    ]);
    expect((error.cause as Error).message).toBe("the worker was stopped");
  },
);

test("Frame: an operation that ended well before the signal took effect is a success", async () => {
  const io = new FakeCliIo({ linux });
  const frame = new Frame(io, { progress: "auto" });
  await frame.write(
    async () => {
      io.stop("SIGINT");
      return "done";
    },
    { text: (value) => value },
  );
  expect([frame.status, io.stdout.text]).toEqual([0, "done"]);
});

test("Frame: an operation that only reads is ended by the signal itself", async () => {
  const io = new FakeCliIo({ linux });
  io.stop("SIGINT");
  const frame = new Frame(io, { progress: "auto" });
  await frame.read(async (system) => expect(system.signal.aborted).toBe(false), nothing);
});

test.each([
  ["plain", "osdeploy: warning: Left it alone\n"],
  ["json", '{"type":"Warning","message":"Left it alone"}\n'],
] as const)("Frame: --quiet shows warnings and no progress, and wins over --progress=%s", async (progress, shown) => {
  const io = new FakeCliIo({ linux });
  const frame = new Frame(io, { progress, quiet: true });
  await frame.read(async (system) => {
    system.progress({ kind: "start", task: "pull", subject: "x" });
    system.progress({ kind: "warning", message: "Left it alone" });
  }, nothing);
  expect(io.stderr.text).toBe(shown);
});

test("Frame: a value can have another form in JSON than its own", async () => {
  const io = new FakeCliIo({ linux });
  await new Frame(io, { progress: "auto", json: true }).read(async () => 3, { text: String, json: (n) => ({ n }) });
  expect(io.stdout.text).toBe('{\n  "n": 3\n}\n');
});
