import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { monitorCommand } from "../../../src/lab/monitor.ts";
import type { Path } from "../../../src/linux/linux.ts";
import { FakeMonitor } from "../../fakes/fake-monitor.ts";

describe("monitorCommand", () => {
  let directory: string;
  let path: Path;
  let monitor: FakeMonitor;
  beforeEach(async () => {
    directory = mkdtempSync(join(tmpdir(), "osdeploy-qmp-"));
    path = fromText(join(directory, "qmp.socket"));
    const answers: Readonly<Record<string, string | undefined>> = {
      "query-status": '{"event": "RESUME"}\r\n{"return": {"status": "running"}}\r\n',
      stop: '{"error": {"class": "GenericError", "desc": "no"}}\r\n',
      quit: undefined,
    };
    monitor = new FakeMonitor((command) => answers[command]);
    await monitor.start(path);
  });
  afterEach(() => {
    monitor.stop();
    rmSync(directory, { recursive: true });
  });

  test("gives the answer, and passes over events", async () => {
    expect(await monitorCommand(path, "query-status", { id: 1 })).toEqual({ status: "running" });
    expect(monitor.told).toEqual([
      ["qmp_capabilities", undefined],
      ["query-status", { id: 1 }],
    ]);
  });

  test("a refusal is an error; a QEMU that ends by the command is none", async () => {
    await expect(monitorCommand(path, "stop")).rejects.toMatchObject({
      code: "system",
      message: 'Cannot control QEMU: stop gave {"class":"GenericError","desc":"no"}',
    });
    expect(await monitorCommand(path, "quit")).toBeUndefined();
  });

  test("where nobody listens, it says so", async () => {
    await expect(monitorCommand(fromText("/nowhere/qmp.socket"), "quit")).rejects.toMatchObject({ code: "busy" });
  });
});
