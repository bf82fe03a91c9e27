/** Takes the parts of a file's content. `bytes` are views, good only during the call. */
export interface ChunkSink {
  /** The next bytes of the chunk that is open. */
  data(bytes: Uint8Array): void;
  /** The chunk ends here. */
  endChunk(): void;
  /** A chunk of its own: so many zeros. */
  zeros(lengthBytes: number): void;
}

const windowBytes = 64;
/** What the sum adds to each byte, so that zeros count. */
const byteOffset = 31;
const startOfFirstSum = windowBytes * byteOffset;
const startOfSecondSum = windowBytes * (windowBytes - 1) * byteOffset;
/** A chunk ends where these bits of the sum are all set: on average after 64 KiB. */
const splitMask = 0xffff;
/** Zeros that are a chunk of their own. */
const holeBytes = 1024;
const zeroBytes = new Uint8Array(holeBytes);

/**
 * Cuts the content of files into chunks as containers/storage does, so that equal parts of two files become equal chunks,
 * whoever packed them: by a rolling sum over 64 bytes, and around runs of at least 1024 zeros. Another cut anywhere would
 * be valid too, and would find nothing again in what others packed.
 *
 * Call {@link push} with the pieces of a file's content, then {@link finish}; then comes the next file.
 *
 * @see https://github.com/containers/container-libs/tree/main/storage/pkg/chunked/compressor
 */
export class ChunkSplitter {
  readonly #sink: ChunkSink;
  readonly #window = new Uint8Array(windowBytes);
  #position = 0;
  #firstSum = startOfFirstSum;
  #secondSum = startOfSecondSum;
  /** Zeros at the end of what came, of which it is open whether they are data. */
  #zeros = 0;
  #isOpen = false;

  constructor(sink: ChunkSink) {
    this.#sink = sink;
  }

  push(bytes: Uint8Array): void {
    let start = this.#goOnWithZeros(bytes);
    let at = start;
    for (let zero = bytes.indexOf(0, at); zero >= 0; zero = bytes.indexOf(0, at)) {
      at = endOfZeros(bytes, zero);
      const isAtEnd = at === bytes.length;
      if (!isAtEnd && at - zero < holeBytes) continue;
      this.#addData(bytes.subarray(start, zero));
      this.#zeros = at - zero;
      if (!isAtEnd) this.#endZeros();
      start = at;
    }
    this.#addData(bytes.subarray(start));
  }

  /** The file ends here. */
  finish(): void {
    this.#endZeros();
    this.#endChunk();
    this.#startAnew();
  }

  /** How many bytes at the start of `bytes` belong to the zeros before them. */
  #goOnWithZeros(bytes: Uint8Array): number {
    if (this.#zeros === 0) return 0;
    const end = endOfZeros(bytes, 0);
    this.#zeros += end;
    if (end < bytes.length) this.#endZeros();
    return end;
  }

  #endZeros(): void {
    const count = this.#zeros;
    this.#zeros = 0;
    if (count < holeBytes) {
      this.#addData(zeroBytes.subarray(0, count));
      return;
    }
    this.#endChunk();
    this.#sink.zeros(count);
    // The sum rolls over the zeros; after 64 of them it is what it was at the start.
    this.#startAnew();
  }

  #endChunk(): void {
    if (this.#isOpen) this.#sink.endChunk();
    this.#isOpen = false;
  }

  #startAnew(): void {
    this.#window.fill(0);
    this.#firstSum = startOfFirstSum;
    this.#secondSum = startOfSecondSum;
  }

  #addData(bytes: Uint8Array): void {
    const window = this.#window;
    let position = this.#position;
    let first = this.#firstSum;
    let second = this.#secondSum;
    let start = 0;
    for (let at = 0; at < bytes.length; at++) {
      const added = bytes[at] as number;
      const dropped = window[position] as number;
      first = (first + added - dropped) | 0;
      second = (second + first - windowBytes * (dropped + byteOffset)) | 0;
      window[position] = added;
      position = (position + 1) % windowBytes;
      if ((second & splitMask) !== splitMask) continue;
      this.#sink.data(bytes.subarray(start, at + 1));
      this.#sink.endChunk();
      start = at + 1;
    }
    this.#position = position;
    this.#firstSum = first;
    this.#secondSum = second;
    if (bytes.length === 0) return;
    this.#isOpen = start < bytes.length;
    if (this.#isOpen) this.#sink.data(bytes.subarray(start));
  }
}

function endOfZeros(bytes: Uint8Array, start: number): number {
  let at = start;
  while (at < bytes.length && bytes[at] === 0) at++;
  return at;
}
