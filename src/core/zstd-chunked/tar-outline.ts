import { type ByteString, fromBytes, untilNul } from "../bytes/byte-string.ts";
import { isExtension, longNameType, paxType } from "../tar/pax.ts";
import { blockSize, paddingBytes, readHeader, type TarHeader } from "../tar/tar-header.ts";
import { defaultTarLimits } from "../tar/tar-limits.ts";
import { type OutlineEntry, outlineEntry, readRecords, refuse } from "./outline-entry.ts";

/** Takes what a {@link TarOutline} finds, in the order of the tar. `bytes` are views, good only during the call. */
export interface OutlineSink {
  /** The next bytes that are no content of a file. */
  raw(bytes: Uint8Array): void;
  /** The headers of an entry are complete; its content comes next, if it has any. */
  entry(entry: OutlineEntry): void;
  /** The next bytes of the entry's content. */
  content(bytes: Uint8Array): void;
  endContent(): void;
  /** The two zero blocks that end the tar are complete; all that follows is raw. */
  endOfArchive(): void;
}

type Phase =
  | { readonly kind: "header" | "second-zero-block" | "tail" }
  | { readonly kind: "extension"; readonly header: TarHeader; readonly bytes: Uint8Array }
  | { readonly kind: "content" | "padding"; left: number };

/**
 * Reads a tar as it stands, header by header, and passes every byte on: for those who write down what Go's reader would
 * see. What that reader and osdeploy's own understand differently is refused.
 *
 * A synchronous state machine; call {@link push} with any pieces, then {@link finish}.
 *
 * @throws OsdeployError `unsupported` and `bad-format` from both.
 */
export class TarOutline {
  readonly #sink: OutlineSink;
  readonly #block = new Uint8Array(blockSize);
  /** Bytes of the header or extension that is being put together. */
  #filled = 0;
  #phase: Phase = { kind: "header" };
  /** The size of the entry whose content is being read. */
  #sizeBytes = 0;
  #records: Map<ByteString, ByteString> | undefined;
  #longName: ByteString | undefined;
  #longLink: ByteString | undefined;

  constructor(sink: OutlineSink) {
    this.#sink = sink;
  }

  push(bytes: Uint8Array): void {
    let at = 0;
    while (at < bytes.length) at += this.#step(bytes.subarray(at));
  }

  finish(): void {
    const { kind } = this.#phase;
    const isBetween = (kind === "header" || kind === "second-zero-block") && this.#filled === 0;
    if (kind !== "tail" && (!isBetween || this.#hasExtension())) throw refuse("it is cut off");
  }

  /** Uses bytes from the front of `bytes`, which are some, and says how many. */
  #step(bytes: Uint8Array): number {
    const phase = this.#phase;
    switch (phase.kind) {
      case "header":
        return this.#fill(bytes, this.#block, () => this.#readHeader());
      case "second-zero-block":
        return this.#fill(bytes, this.#block, () => this.#readSecondZeroBlock());
      case "extension":
        return this.#fill(bytes, phase.bytes, () => this.#readExtension(phase.header, phase.bytes));
      case "tail":
        this.#sink.raw(bytes);
        return bytes.length;
      default:
        return this.#pass(bytes, phase);
    }
  }

  #fill(bytes: Uint8Array, target: Uint8Array, complete: () => void): number {
    const part = bytes.subarray(0, target.length - this.#filled);
    target.set(part, this.#filled);
    this.#filled += part.length;
    this.#sink.raw(part);
    if (this.#filled < target.length) return part.length;
    this.#filled = 0;
    complete();
    return part.length;
  }

  #pass(bytes: Uint8Array, phase: { readonly kind: "content" | "padding"; left: number }): number {
    const part = bytes.subarray(0, phase.left);
    phase.left -= part.length;
    if (phase.kind === "padding") {
      this.#sink.raw(part);
      if (phase.left === 0) this.#phase = { kind: "header" };
      return part.length;
    }
    this.#sink.content(part);
    if (phase.left === 0) {
      this.#sink.endContent();
      this.#pad(this.#sizeBytes);
    }
    return part.length;
  }

  #readHeader(): void {
    const header = readHeader(this.#block);
    if (header === undefined) {
      if (this.#hasExtension()) throw refuse("an extension header has no entry");
      this.#phase = { kind: "second-zero-block" };
    } else if (isExtension(header.type)) {
      this.#beginExtension(header);
    } else {
      this.#beginEntry(header);
    }
  }

  #hasExtension(): boolean {
    return this.#records !== undefined || this.#longName !== undefined || this.#longLink !== undefined;
  }

  #beginExtension(header: TarHeader): void {
    if (header.format === "v7") throw refuse("an extension header has no magic");
    if (header.sizeBytes === 0 || header.sizeBytes > defaultTarLimits.extensionBytes) {
      throw refuse(`an extension header has ${header.sizeBytes} bytes`);
    }
    this.#phase = { kind: "extension", header, bytes: new Uint8Array(header.sizeBytes) };
  }

  #readExtension({ type }: TarHeader, bytes: Uint8Array): void {
    if (type === paxType) {
      // Of two such headers in a row Go's reader takes the last alone.
      if (this.#records !== undefined) throw refuse("an entry has two PAX headers");
      this.#records = readRecords(bytes);
    } else if (type === longNameType) {
      this.#longName = untilNul(fromBytes(bytes));
    } else {
      this.#longLink = untilNul(fromBytes(bytes));
    }
    this.#pad(bytes.length);
  }

  #beginEntry(header: TarHeader): void {
    const entry = outlineEntry(this.#block, header, {
      records: this.#records ?? new Map(),
      longName: this.#longName,
      longLink: this.#longLink,
    });
    this.#records = undefined;
    this.#longName = undefined;
    this.#longLink = undefined;
    this.#sink.entry(entry);
    this.#sizeBytes = entry.sizeBytes;
    this.#phase = entry.sizeBytes > 0 ? { kind: "content", left: entry.sizeBytes } : { kind: "header" };
  }

  #pad(sizeBytes: number): void {
    const left = paddingBytes(sizeBytes);
    this.#phase = left === 0 ? { kind: "header" } : { kind: "padding", left };
  }

  #readSecondZeroBlock(): void {
    if (this.#block.some((byte) => byte !== 0)) throw refuse("a zero block stands between its entries");
    this.#phase = { kind: "tail" };
    this.#sink.endOfArchive();
  }
}
