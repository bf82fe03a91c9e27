import type { CliIo, OutputStream } from "../../src/cli/cli-io.ts";
import type { Linux } from "../../src/linux/linux.ts";

/** A command line's surroundings in memory. */
export interface FakeCliIoOptions {
  readonly linux?: Linux;
  readonly uid?: number;
  readonly environment?: CliIo["environment"];
  readonly stdin?: Uint8Array;
  /** Columns of a terminal at both outputs; without it they are pipes. */
  readonly terminal?: number;
}

/** Collects what is written, as text and as bytes. */
export class FakeOutput implements OutputStream {
  readonly isTerminal: boolean;
  readonly #columns: number;
  readonly #chunks: Uint8Array[] = [];

  constructor(terminal: number | undefined) {
    this.isTerminal = terminal !== undefined;
    this.#columns = terminal ?? 80;
  }

  columns(): number {
    return this.#columns;
  }

  rows(): number {
    return 24;
  }

  async write(chunk: string | Uint8Array): Promise<void> {
    this.#chunks.push(typeof chunk === "string" ? new TextEncoder().encode(chunk) : chunk.slice());
  }

  get bytes(): Uint8Array {
    return Buffer.concat(this.#chunks);
  }

  get text(): string {
    return Buffer.concat(this.#chunks).toString("utf8");
  }
}

/** What `runMain` needs, without a process. */
export class FakeCliIo implements CliIo {
  readonly stdout: FakeOutput;
  readonly stderr: FakeOutput;
  readonly environment: CliIo["environment"];
  readonly uid: number;
  readonly architecture = "x64";
  readonly importThreads = 0;
  readonly #linux: Linux | undefined;
  readonly #stdin: Uint8Array;
  readonly #signals = new AbortController();

  constructor(options: FakeCliIoOptions = {}) {
    this.stdout = new FakeOutput(options.terminal);
    this.stderr = new FakeOutput(options.terminal);
    this.environment = options.environment ?? { HOME: "/home" };
    this.uid = options.uid ?? 0;
    this.#linux = options.linux;
    this.#stdin = options.stdin ?? new Uint8Array();
  }

  async readStdin(): Promise<Uint8Array> {
    return this.#stdin;
  }

  async openLinux(): Promise<Linux> {
    if (this.#linux === undefined) throw new Error("This test did not expect anybody to open Linux");
    return this.#linux;
  }

  watchSignals(): AbortSignal {
    return this.#signals.signal;
  }

  /** What a signal would do. */
  stop(name: "SIGHUP" | "SIGINT" | "SIGTERM"): void {
    this.#signals.abort(name);
  }
}
