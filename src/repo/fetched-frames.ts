import { OsdeployError } from "../core/errors.ts";
import type { FetchRange } from "../core/oci/plan-partial-pull.ts";
import type { FramePlace } from "../core/oci/zstd-chunked-toc.ts";
import type { Decoder } from "../linux/decoder.ts";
import type { Fd, LinuxFiles, Path } from "../linux/linux.ts";
import { openDecoder } from "../linux/open-decoder.ts";

/** Parts of a blob in files, which may still be growing. */
export interface FetchedRanges {
  readonly ranges: readonly FetchRange[];
  /** The file of a range. */
  pathOf(range: number): Path;
  /** Returns when so many bytes of a range are in its file. @throws OsdeployError `interrupted`. */
  waitFor(range: number, bytes: number): void;
}

const inputBytes = 256 * 1024;
const outputBytes = 256 * 1024;

/** Unpacks single zstd frames out of fetched ranges. */
export class FetchedFrames {
  readonly #files: LinuxFiles;
  readonly #fetched: FetchedRanges;
  readonly #input = new Uint8Array(inputBytes);
  readonly #output = new Uint8Array(outputBytes);
  readonly #decoder: Decoder = openDecoder("zstd");
  /** The range that was read last, open. */
  #open: { readonly range: number; readonly fd: Fd } | undefined;

  /** @throws OsdeployError `unsupported` when libzstd is missing. */
  constructor(files: LinuxFiles, fetched: FetchedRanges) {
    this.#files = files;
    this.#fetched = fetched;
  }

  /**
   * Hands the content of one frame to `use`, in pieces that are valid only during the call. Never more than `sizeBytes`.
   *
   * @throws OsdeployError `bad-format` when the frame does not hold exactly `sizeBytes`.
   */
  read(frame: FramePlace, sizeBytes: number, use: (piece: Uint8Array) => void): void {
    const range = this.#rangeOf(frame);
    const start = frame.offsetBytes - (this.#fetched.ranges[range]?.offsetBytes ?? 0);
    const fd = this.#fileOf(range, start + frame.lengthBytes);
    let left = sizeBytes;
    for (let done = 0; done < frame.lengthBytes; ) {
      const length = Math.min(inputBytes, frame.lengthBytes - done);
      const got = this.#files.read(fd, this.#input, { offset: 0, length, position: start + done });
      if (got === 0) throw badFrame("its bytes are missing");
      left -= this.#decode(this.#input.subarray(0, got), left, use);
      done += got;
    }
    this.#decoder.finish();
    if (left !== 0) throw badFrame(`it has ${left} bytes too few`);
  }

  /** Frees what is held. */
  close(): void {
    this.#decoder.close();
    if (this.#open !== undefined) this.#files.close(this.#open.fd);
    this.#open = undefined;
  }

  #decode(input: Uint8Array, limitBytes: number, use: (piece: Uint8Array) => void): number {
    let consumed = 0;
    let produced = 0;
    for (;;) {
      const step = this.#decoder.decode(input.subarray(consumed), this.#output);
      consumed += step.consumed;
      produced += step.produced;
      if (produced > limitBytes) throw badFrame("it has more bytes than it should");
      if (step.produced > 0) use(this.#output.subarray(0, step.produced));
      if (consumed === input.length && step.produced < this.#output.length) return produced;
    }
  }

  /** The number of the range that `frame` lies in. */
  #rangeOf({ offsetBytes }: FramePlace): number {
    const { ranges } = this.#fetched;
    let low = 0;
    let high = ranges.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((ranges[middle]?.offsetBytes ?? 0) <= offsetBytes) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  #fileOf(range: number, bytes: number): Fd {
    this.#fetched.waitFor(range, bytes);
    if (this.#open?.range === range) return this.#open.fd;
    if (this.#open !== undefined) this.#files.close(this.#open.fd);
    this.#open = undefined;
    const fd = this.#files.open(this.#fetched.pathOf(range), "read");
    this.#open = { range, fd };
    return fd;
  }
}

function badFrame(state: string): OsdeployError {
  return new OsdeployError("bad-format", `Cannot use a frame of the layer: ${state}`);
}
