import type { Linux } from "../linux/linux.ts";

/** Where text goes. */
export interface OutputStream {
  readonly isTerminal: boolean;
  /** Columns of the terminal; 80 where nobody knows. */
  columns(): number;
  /** Rows of the terminal; 24 where nobody knows. */
  rows(): number;
  /** Done when the bytes are handed on, so that a slow reader slows the writer down. */
  write(chunk: string | Uint8Array): Promise<void>;
}

/** All that the command line takes from its process; tests hand in their own. */
export interface CliIo {
  readonly stdout: OutputStream;
  readonly stderr: OutputStream;
  /** The whole of standard input. */
  readStdin(): Promise<Uint8Array>;
  /**
   * `process.env`. The command line itself looks at `HOME`, `NO_COLOR` (not empty: no colours), `TERM` (`dumb`: the cursor
   * cannot move) and `CFS_PARSE_STRICT` (there: dumps are read strictly, as mkcomposefs does).
   */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** The user's number: 0 is root. */
  readonly uid: number;
  /** The machine's architecture in Node's words. */
  readonly architecture: string;
  /** Worker threads for the import of layers: one for each core. */
  readonly importThreads: number;
  /** Loads the native binding, hence only called by commands that do something. */
  openLinux(): Promise<Linux>;
  /** From now on SIGHUP, SIGINT and SIGTERM abort this signal, with their name as the reason, instead of ending the process. */
  watchSignals(): AbortSignal;
}
