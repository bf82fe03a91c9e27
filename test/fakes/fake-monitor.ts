import { createServer, type Server } from "node:net";
import { toText } from "../../src/core/bytes/byte-string.ts";
import type { Path } from "../../src/linux/linux.ts";

/** A QEMU as far as its machine protocol goes: what it was told, and what it answers; undefined for one that ends by it. */
export class FakeMonitor {
  readonly told: unknown[] = [];
  readonly #server: Server;

  constructor(answers: (command: string) => string | undefined) {
    this.#server = createServer((socket) => {
      socket.write('{"QMP": {"version": {}}}\r\n');
      socket.on("data", (bytes) => {
        for (const line of bytes.toString().trim().split("\n")) {
          const { execute, arguments: words } = JSON.parse(line) as { execute: string; arguments?: unknown };
          this.told.push([execute, words]);
          const answer = execute === "qmp_capabilities" ? '{"return": {}}\r\n' : answers(execute);
          if (answer === undefined) socket.end();
          else socket.write(answer);
        }
      });
    });
  }

  async start(socket: Path): Promise<void> {
    await new Promise<void>((done) => this.#server.listen(toText(socket), done));
  }

  stop(): void {
    this.#server.close();
  }
}
