import type { Command } from "commander";
import { type ByteString, fromText, toText } from "../core/bytes/byte-string.ts";
import { OsdeployError } from "../core/errors.ts";
import type { ReportProgress } from "../operations/progress.ts";
import type { System } from "../operations/system.ts";
import { withAdvice } from "./advice.ts";
import type { CliIo } from "./cli-io.ts";
import { type StopSignal, signalStatuses, successStatus } from "./exit-status.ts";
import type { GlobalOptions, ImageOptions } from "./options.ts";
import type { Voice } from "./output/error-text.ts";
import { toJson } from "./output/json.ts";
import { openProgress } from "./output/progress.ts";

/** How the value of an operation is printed. */
export interface Output<Result> {
  /** For people; a newline ends it. Pieces of a long one are printed one after the other. */
  readonly text: (result: Result) => string | Uint8Array | Iterable<Uint8Array>;
  /** What `--json` prints, where that is not the value itself. `as-text`: there is no other form than the text. */
  readonly json?: "as-text" | ((result: Result) => unknown);
  /** The exit status, where it depends on the value. */
  readonly status?: (result: Result) => number;
  /** The command that makes room where the operation writes. */
  readonly whenFull?: string;
}

/** What a command file defines: the words of one command and the one operation behind it. */
export type DefineCommand = (command: Command, frame: Frame) => void;

/**
 * Runs the operations of commands: opens Linux, shows progress, prints the value, minds signals. One for each run of the
 * program.
 */
export class Frame {
  readonly io: CliIo;
  readonly options: GlobalOptions;
  /** The exit status as far as it is known. */
  status = successStatus;
  /** In whose words errors are told: those of the command that runs. */
  voice: Voice = "osdeploy";
  #defaultRepo: ByteString | undefined;

  constructor(io: CliIo, options: GlobalOptions) {
    this.io = io;
    this.options = options;
  }

  /** Where the repo is when nobody says so; the places are those of composefs-rs. */
  defaultRepo(): ByteString {
    this.#defaultRepo ??= this.#findDefaultRepo();
    return this.#defaultRepo;
  }

  #findDefaultRepo(): ByteString {
    if (this.io.uid === 0) return fromText("/sysroot/composefs");
    const { HOME: home = "" } = this.io.environment;
    if (home === "") {
      throw new OsdeployError("usage", "Cannot find your repo: HOME is not set", {
        facts: { hint: "Name it with --repo DIR" },
      });
    }
    return fromText(`${home}/.var/lib/composefs`);
  }

  /** Which image in which repo is meant. */
  imageRequest(
    image: string,
    options: ImageOptions,
  ): { readonly image: string; readonly repo: ByteString; readonly bootable: boolean } {
    return { image, repo: options.repo ?? this.defaultRepo(), bootable: options.bootable === true };
  }

  /** Performs an operation that changes nothing, and prints its value. A signal ends the process at once. */
  async read<Result>(perform: (system: System) => Promise<Result>, output: Output<Result>): Promise<void> {
    await this.#perform(perform, output, new AbortController().signal);
  }

  /** Performs an operation that writes, and prints its value. A signal stops it where nothing is half done. */
  async write<Result>(perform: (system: System) => Promise<Result>, output: Output<Result>): Promise<void> {
    await this.#perform(perform, output, this.io.watchSignals());
  }

  async #perform<Result>(
    perform: (system: System) => Promise<Result>,
    output: Output<Result>,
    signal: AbortSignal,
  ): Promise<void> {
    const linux = await this.io.openLinux();
    const { progress: mode, quiet } = this.options;
    const renderer = openProgress({ mode, quiet }, this.io, () => linux.clock.now());
    try {
      const progress: ReportProgress = (event) => renderer.show(event);
      const system = { linux, progress, signal, importThreads: this.io.importThreads };
      const result = await this.#advising(perform(system), output.whenFull);
      renderer.end();
      await this.#print(result, output);
    } catch (thrown) {
      renderer.end();
      throw signal.aborted ? this.#stopped(signal, thrown) : thrown;
    }
  }

  async #advising<Result>(performed: Promise<Result>, whenFull: string | undefined): Promise<Result> {
    try {
      return await performed;
    } catch (error) {
      const defaultRepo = this.#defaultRepo && toText(this.#defaultRepo);
      throw withAdvice(error, { uid: this.io.uid, whenFull, defaultRepo });
    }
  }

  async #print<Result>(result: Result, output: Output<Result>): Promise<void> {
    if (this.options.json && output.json !== "as-text") {
      await this.io.stdout.write(toJson(output.json === undefined ? result : output.json(result)));
    } else {
      const text = output.text(result);
      const pieces = typeof text === "string" || text instanceof Uint8Array ? [text] : text;
      for (const piece of pieces) await this.io.stdout.write(piece);
    }
    this.status = output.status?.(result) ?? successStatus;
  }

  #stopped(signal: AbortSignal, cause: unknown): OsdeployError {
    const names = Object.keys(signalStatuses) as StopSignal[];
    const name = names.find((each) => each === signal.reason) ?? "SIGINT";
    this.status = signalStatuses[name];
    return new OsdeployError("interrupted", `Stopped by ${name}: nothing is half done, and running it again goes on`, {
      cause,
    });
  }
}
