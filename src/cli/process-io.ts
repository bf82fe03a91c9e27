import { availableParallelism } from "node:os";
import { setFlagsFromString } from "node:v8";
import type { CliIo, OutputStream } from "./cli-io.ts";
import { brokenPipeStatus, type StopSignal, signalStatuses } from "./exit-status.ts";
import { runMain } from "./run-main.ts";

/**
 * How much V8 inlines, in bytes of its bytecode; 920 where nobody says. The process lives for seconds: most of what is
 * compiled for it is compiled while other threads work, and larger functions cost more than they save.
 */
const inlinedBytecode = 150;

/** Runs the command line of this process and ends it with the right exit status. */
export async function runInProcess(): Promise<void> {
  setFlagsFromString(`--max-inlined-bytecode-size-cumulative=${inlinedBytecode}`);
  // A reader that went away (`osdeploy images | head -1`) is no failure to tell anybody about. Where the reader of standard
  // error went away, the work goes on in silence.
  process.stdout.on("error", () => process.exit(brokenPipeStatus));
  process.stderr.on("error", () => undefined);
  const status = await runMain(process.argv.slice(2), processIo());
  // Not left to the event loop: an idle connection of a registry would hold the process for seconds.
  process.exit(status);
}

/** The process that osdeploy runs in, as the command line sees it. */
export function processIo(): CliIo {
  return {
    stdout: outputStream(process.stdout),
    stderr: outputStream(process.stderr),
    readStdin,
    environment: process.env,
    uid: process.getuid?.() ?? 0,
    architecture: process.arch,
    importThreads: availableParallelism(),
    openLinux: async () => (await import("../linux/live-linux.ts")).openLinux(),
    watchSignals,
  };
}

/** Wraps one of the process's streams. */
export function outputStream(stream: NodeJS.WriteStream): OutputStream {
  return {
    isTerminal: stream.isTTY === true,
    columns: () => stream.columns ?? 80,
    write: (chunk) =>
      new Promise((resolve, reject) => {
        stream.write(chunk, (error) => (error ? reject(error) : resolve()));
      }),
  };
}

async function readStdin(): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of process.stdin) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** The first signal asks for an end; the second one ends the process, which a crash-safe program can stand. */
function watchSignals(): AbortSignal {
  const controller = new AbortController();
  for (const name of Object.keys(signalStatuses) as StopSignal[]) {
    process.on(name, () => {
      if (controller.signal.aborted) process.exit(signalStatuses[name]);
      controller.abort(name);
    });
  }
  return controller.signal;
}
