import { availableParallelism } from "node:os";
import { setFlagsFromString } from "node:v8";
import { fromText } from "../core/bytes/byte-string.ts";
import { systemCallError } from "../linux/errno.ts";
import { exactArguments } from "../linux/process-arguments.ts";
import type { CliIo, OutputStream } from "./cli-io.ts";
import { brokenPipeStatus, exitStatusOf, type StopSignal, signalStatuses } from "./exit-status.ts";
import { formatError } from "./output/error-text.ts";
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
  // What else fails, such as a full disk, fails the write itself.
  process.stdout.on("error", endWithoutReader);
  process.stderr.on("error", () => undefined);
  const status = await runMain(exactArguments(process.argv.slice(2)), processIo());
  if (status === signalStatuses.SIGHUP) endBySignal("SIGHUP");
  // Not left to the event loop: an idle connection of a registry would hold the process for seconds.
  process.exit(status);
}

/** Shells show it by the same status. Node's own end would be a crash where the terminal is gone, because it wants to set that back. */
function endBySignal(name: StopSignal): void {
  process.removeAllListeners(name);
  process.kill(process.pid, name);
}

function endWithoutReader(error: NodeJS.ErrnoException): void {
  if (error.code === "EPIPE") process.exit(brokenPipeStatus);
}

/** Ends a process that was only to print something, and could not. */
export function endWithoutOutput(error: Error): void {
  endWithoutReader(error);
  const failure = writeFailure(standardOutput, error);
  process.stderr.write(formatError(failure, { verbose: false, voice: "osdeploy" }));
  process.exitCode = exitStatusOf(failure);
}

/** The process that osdeploy runs in, as the command line sees it. */
export function processIo(): CliIo {
  return {
    stdout: outputStream(process.stdout, standardOutput),
    stderr: outputStream(process.stderr, "standard error"),
    readStdin,
    environment: process.env,
    uid: process.getuid?.() ?? 0,
    architecture: process.arch,
    importThreads: availableParallelism(),
    openLinux: async () => (await import("../linux/live-linux.ts")).openLinux(),
    watchSignals,
  };
}

const standardOutput = "standard output";

/** Wraps one of the process's streams; errors call it by `name`. */
export function outputStream(stream: NodeJS.WriteStream, name: string): OutputStream {
  return {
    isTerminal: stream.isTTY === true,
    // A serial console says 0.
    columns: () => stream.columns || 80,
    rows: () => stream.rows || 24,
    write: (chunk) =>
      new Promise((resolve, reject) => {
        stream.write(chunk, (error) => (error ? reject(writeFailure(name, error)) : resolve()));
      }),
  };
}

function writeFailure(name: string, error: NodeJS.ErrnoException): Error {
  return error.code === undefined ? error : systemCallError({ verb: "write", path: fromText(name) }, error.code, error);
}

async function readStdin(): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of process.stdin) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/**
 * The first signal asks for an end; the second one ends the process, which a crash-safe program can stand. A session that is lost
 * hangs up twice, by the shell and by the kernel: nobody is impatient then.
 */
function watchSignals(): AbortSignal {
  const controller = new AbortController();
  for (const name of Object.keys(signalStatuses) as StopSignal[]) {
    process.on(name, () => {
      if (controller.signal.aborted && name !== "SIGHUP") process.exit(signalStatuses[name]);
      controller.abort(name);
    });
  }
  return controller.signal;
}
