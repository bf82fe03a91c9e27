import type { CliIo } from "./cli-io.ts";
import { type CommandRow, commandTable } from "./command-table.ts";
import { bugStatus, exitStatusOf, successStatus } from "./exit-status.ts";
import { Frame } from "./frame.ts";
import type { GlobalOptions } from "./options.ts";
import { errorLine } from "./output/error-line.ts";
import { formatError } from "./output/error-text.ts";
import { buildProgram, lookAt } from "./program.ts";
import { TextAsked } from "./words-error.ts";

/** Before the words are understood, only these can be meant. */
const noOptions: GlobalOptions = { progress: "auto" };

/**
 * Runs the command that `argv` (without the program's name) names, in this process, and returns the exit status. Results go to
 * `io.stdout`, everything else to `io.stderr`.
 */
export async function runMain(
  argv: readonly string[],
  io: CliIo,
  table: readonly CommandRow[] = commandTable,
): Promise<number> {
  let frame = new Frame(io, noOptions);
  try {
    const { options, words } = lookAt(argv);
    frame = new Frame(io, options);
    const asksForHelp = words[0] === "help";
    const named = asksForHelp ? words.slice(1) : words;
    const program = await buildProgram(named, frame, table);
    await program.parseAsync(asksForHelp ? [...named, "--help"] : argv, { from: "user" });
    return frame.status;
  } catch (error) {
    return await report(error, frame);
  }
}

async function report(error: unknown, frame: Frame): Promise<number> {
  if (error instanceof TextAsked) {
    return await frame.io.stdout.write(error.text).then(
      () => successStatus,
      (cause: unknown) => report(cause, frame),
    );
  }
  const { options, voice } = frame;
  const text =
    options.progress === "json"
      ? errorLine(error, voice)
      : formatError(error, { verbose: options.verbose === true, voice });
  // Where nobody can be told, the status still says it.
  await frame.io.stderr.write(text).catch(() => undefined);
  if (frame.status !== successStatus) return frame.status;
  return voice === "osdeploy" ? exitStatusOf(error) : bugStatus;
}
