import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { fromText, toText } from "../../../src/core/bytes/byte-string.ts";
import { monitorCommand } from "../../../src/lab/monitor.ts";

/** A QEMU as far as its machine protocol goes: what it was told, and what it answers. */
class FakeMonitor {
  readonly directory = mkdtempSync(join(tmpdir(), "osdeploy-qmp-"));
  readonly path = fromText(join(this.directory, "qmp.socket"));
  readonly told: unknown[] = [];
  readonly #server: Server;

  constructor(answers: Readonly<Record<string, string | undefined>>) {
    this.#server = createServer((socket) => {
      socket.write('{"QMP": {"version": {}}}\r\n');
      socket.on("data", (bytes) => {
        for (const line of bytes.toString().trim().split("\n")) {
          const { execute, arguments: words } = JSON.parse(line) as { execute: string; arguments?: unknown };
          this.told.push([execute, words]);
          const answer = execute === "qmp_capabilities" ? '{"return": {}}\r\n' : answers[execute];
          if (answer === undefined) socket.end();
          else socket.write(answer);
        }
      });
    });
  }

  async start(): Promise<void> {
    await new Promise<void>((done) => this.#server.listen(toText(this.path), done));
  }

  stop(): void {
    this.#server.close();
    rmSync(this.directory, { recursive: true });
  }
}

describe("monitorCommand", () => {
  let monitor: FakeMonitor;
  beforeEach(async () => {
    const answers = {
      "query-status": '{"event": "RESUME"}\r\n{"return": {"status": "running"}}\r\n',
      stop: '{"error": {"class": "GenericError", "desc": "no"}}\r\n',
      quit: undefined,
    };
    monitor = new FakeMonitor(answers);
    await monitor.start();
  });
  afterEach(() => monitor.stop());

  test("gives the answer, and passes over events", async () => {
    expect(await monitorCommand(monitor.path, "query-status", { id: 1 })).toEqual({ status: "running" });
    expect(monitor.told).toEqual([
      ["qmp_capabilities", undefined],
      ["query-status", { id: 1 }],
    ]);
  });

  test("a refusal is an error; a QEMU that ends by the command is none", async () => {
    await expect(monitorCommand(monitor.path, "stop")).rejects.toMatchObject({
      code: "system",
      message: 'Cannot control QEMU: stop gave {"class":"GenericError","desc":"no"}',
    });
    expect(await monitorCommand(monitor.path, "quit")).toBeUndefined();
  });

  test("where nobody listens, it says so", async () => {
    await expect(monitorCommand(fromText("/nowhere/qmp.socket"), "quit")).rejects.toMatchObject({ code: "busy" });
  });
});
