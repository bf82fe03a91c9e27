import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** A real registry on a free port of loopback, with its data in `directory`. Whoever starts it kills it. */
export async function startRegistry(
  program: string,
  directory: string,
): Promise<{ readonly process: ChildProcess; readonly host: string }> {
  mkdirSync(directory, { recursive: true });
  const config = join(directory, "registry.yml");
  const storage = `storage: {filesystem: {rootdirectory: ${join(directory, "data")}}, delete: {enabled: true}}`;
  writeFileSync(config, `version: 0.1\n${storage}\nhttp: {addr: "127.0.0.1:0"}\n`);
  const env = { ...process.env, OTEL_TRACES_EXPORTER: "none" };
  const registry = spawn(program, ["serve", config], { stdio: ["ignore", "ignore", "pipe"], env });
  return { process: registry, host: `127.0.0.1:${await portOf(registry)}` };
}

function portOf(registry: ChildProcess): Promise<string> {
  return new Promise((found, failed) => {
    let log = "";
    registry.on("exit", () => failed(new Error(`the registry ended: ${log}`)));
    registry.stderr?.on("data", (piece: Buffer) => {
      log += piece.toString();
      const port = /listening on 127\.0\.0\.1:([0-9]+)/.exec(log)?.[1];
      if (port !== undefined) found(port);
    });
  });
}
