import { type ByteString, fromBytes } from "../bytes/byte-string.ts";
import { assert, OsdeployError } from "../errors.ts";
import type { ExternalContent, FileContent } from "../tree/inode.ts";
import type { LayerEntry } from "../tree/layer.ts";
import { type Extension, globalType, isExtension, readExtension } from "./pax.ts";
import { type PendingFile, readEntry } from "./tar-entry.ts";
import { blockSize, paddingBytes, readHeader, type TarHeader } from "./tar-header.ts";
import { defaultTarLimits, type TarLimits } from "./tar-limits.ts";

/**
 * Files of up to this many bytes are kept in splitstreams and root images themselves; larger ones are objects. Part of
 * the format: another value gives other image ids.
 */
export const maxInlineBytes = 64;

/**
 * Takes what a {@link TarScanner} finds, in the order of the tar. All `bytes` are views of the scanner's window, good
 * only during the call.
 */
export interface TarSink {
  /**
   * The next bytes that are no object's content: headers, extensions, small files, padding, all that follows the end.
   * These, with the contents of the files in between, are the tar again, bit for bit.
   */
  structure(bytes: Uint8Array): void;
  /** The whole content of the file `path`, which has more than {@link maxInlineBytes}. */
  file(bytes: Uint8Array, path: ByteString): ExternalContent;
  /** The file `path`, too large to be handed out whole, begins; its content follows in pieces. */
  beginFile(sizeBytes: number, path: ByteString): void;
  filePiece(bytes: Uint8Array): void;
  endFile(): ExternalContent;
  /** An entry is complete. It comes after its content. */
  entry(entry: LayerEntry): void;
}

export interface TarScannerOptions {
  readonly limits?: TarLimits;
  /** Files of more bytes come in pieces. The caller's window has to hold this, or `limits.extensionBytes`, and a block. */
  readonly maxWholeFileBytes?: number;
}

/** Where the scanner is in the tar. */
type Phase =
  | { readonly kind: "header" }
  | { readonly kind: "extension"; readonly header: TarHeader }
  | { readonly kind: "content"; readonly file: PendingFile }
  | { readonly kind: "pieces"; readonly file: PendingFile; left: number }
  | { readonly kind: "padding"; left: number }
  /** One zero block was seen; the end needs two. */
  | { readonly kind: "zero-block" }
  | { readonly kind: "after-end" };

const headerPhase: Phase = { kind: "header" };

/**
 * Reads a tar in a window that its caller fills: a synchronous state machine that copies no content.
 *
 * Call {@link scan} whenever bytes were added; keep what it did not use in front of what comes next. Call {@link finish}
 * at the end of input. After an error the scanner is of no use any more.
 *
 * Read are v7, ustar, PAX and GNU headers with long names, base-256 numbers, hard links, devices and FIFOs. Global PAX
 * headers are skipped. Two zero blocks end the tar; one, or none behind a whole entry, will do, as all readers have it: who
 * has to know whether a tar is complete measures it. What follows the end is structure. Refused are sparse files, unknown
 * types, sizes where no content can be, a zero block between entries, extensions without an entry, and of those before an
 * entry two of one kind, of which some readers take the first, some the last and some both, or a global header among them.
 */
export class TarScanner {
  readonly #sink: TarSink;
  readonly #limits: TarLimits;
  readonly #maxWholeFileBytes: number;
  #phase: Phase = headerPhase;
  #extension: Extension = {};
  /** The types of the extension headers that wait for their entry. */
  readonly #pendingExtensions = new Set<number>();
  #entries = 0;
  #structureBytes = 0;
  /** Bytes used by earlier calls of `scan`. */
  #offset = 0;
  /** The window during `scan`: its bytes, where the scanner is, and since where all is structure. */
  #window: Uint8Array = new Uint8Array(0);
  #at = 0;
  #structureStart = 0;
  /** Bytes that the last `scan` left for the next one. */
  #left = 0;

  constructor(sink: TarSink, options: TarScannerOptions = {}) {
    this.#sink = sink;
    this.#limits = options.limits ?? defaultTarLimits;
    this.#maxWholeFileBytes = options.maxWholeFileBytes ?? 1024 * 1024;
  }

  /**
   * Reads as far as it can in `window[start…end]`, and returns how many of these bytes are done with. The rest, shorter
   * than a file that is handed out whole with its header, has to be there again at the start of the next call.
   *
   * @throws OsdeployError `bad-format`, `unsupported` or `limit-exceeded`; and whatever the sink throws.
   */
  scan(window: Uint8Array, start = 0, end = window.length): number {
    this.#window = window;
    this.#at = start;
    this.#structureStart = start;
    while (this.#step(end)) {
      // Each step moves on; the loop ends where a step needs more bytes.
    }
    this.#flushStructure();
    this.#offset += this.#at - start;
    this.#left = end - this.#at;
    return this.#at - start;
  }

  /** The size of the file whose content comes next and is more than inline; undefined anywhere else. */
  get awaitedFileBytes(): number | undefined {
    return this.#phase.kind === "content" && this.#phase.file.sizeBytes > maxInlineBytes
      ? this.#phase.file.sizeBytes
      : undefined;
  }

  /** Takes the content of the awaited file from elsewhere, instead of from the window. */
  supplyFile(content: ExternalContent): void {
    assert(this.#phase.kind === "content", "content is supplied only where a file awaits it");
    this.#complete(this.#phase.file, content);
  }

  /**
   * Says that no more bytes come.
   *
   * @throws OsdeployError `bad-format` when the tar is not at its end.
   */
  finish(): void {
    const { kind } = this.#phase;
    const isWhole = kind === "after-end" || kind === "zero-block" || kind === "header";
    if (!isWhole || this.#left > 0) {
      throw new OsdeployError("bad-format", `Cannot read tar: it is cut off after ${this.#offset + this.#left} bytes`);
    }
    if (this.#pendingExtensions.size > 0) throw this.#withoutEntry();
  }

  #step(end: number): boolean {
    const phase = this.#phase;
    switch (phase.kind) {
      case "header":
        return end - this.#at >= blockSize && this.#readHeader();
      case "extension":
        return end - this.#at >= phase.header.sizeBytes && this.#readExtension(phase.header);
      case "content":
        return this.#readContent(phase.file, end);
      case "pieces":
        return this.#readPiece(phase, end);
      case "padding":
        return this.#skipPadding(phase, end);
      case "zero-block":
        return end - this.#at >= blockSize && this.#readSecondZeroBlock();
      default:
        this.#at = end;
        return false;
    }
  }

  #readHeader(): true {
    const header = readHeader(this.#window.subarray(this.#at, this.#at + blockSize));
    this.#at += blockSize;
    if (header === undefined) {
      if (this.#pendingExtensions.size > 0) throw this.#withoutEntry();
      this.#phase = { kind: "zero-block" };
    } else if (header.format !== "v7" && (isExtension(header.type) || header.type === globalType)) {
      this.#beginExtension(header);
    } else {
      this.#beginEntry(header);
    }
    return true;
  }

  #beginExtension(header: TarHeader): void {
    if (header.sizeBytes > this.#limits.extensionBytes) {
      throw new OsdeployError(
        "limit-exceeded",
        `Cannot read tar: an extension header has ${header.sizeBytes} bytes, ${this.#limits.extensionBytes} are allowed`,
      );
    }
    this.#phase = { kind: "extension", header };
  }

  #readExtension({ type, sizeBytes }: TarHeader): true {
    const bytes = this.#window.subarray(this.#at, this.#at + sizeBytes);
    this.#at += sizeBytes;
    if (type === globalType) {
      // Skipped: what they could say of paths and owners, image builders never mean. Go's reader forgets extensions there.
      if (this.#pendingExtensions.size > 0)
        throw this.#bad("a global header stands between an entry and its extensions");
    } else {
      if (this.#pendingExtensions.has(type)) throw this.#bad("an entry has two extension headers of one kind");
      this.#pendingExtensions.add(type);
      readExtension(type, bytes, this.#extension, this.#limits);
    }
    this.#pad(sizeBytes);
    return true;
  }

  #beginEntry(header: TarHeader): void {
    this.#entries++;
    if (this.#entries > this.#limits.entries) {
      throw new OsdeployError("limit-exceeded", `Cannot read tar: it has more than ${this.#limits.entries} entries`);
    }
    const found = readEntry(header, this.#extension, this.#limits);
    if (this.#pendingExtensions.size > 0) {
      this.#extension = {};
      this.#pendingExtensions.clear();
    }
    if (found.kind === "file") {
      this.#phase = { kind: "content", file: found.file };
    } else {
      this.#sink.entry(found.entry);
      this.#phase = headerPhase;
    }
  }

  #readContent(file: PendingFile, end: number): boolean {
    const { sizeBytes } = file;
    const available = end - this.#at;
    if (sizeBytes > this.#maxWholeFileBytes && available > 0) {
      this.#flushStructure();
      this.#sink.beginFile(sizeBytes, file.path);
      this.#phase = { kind: "pieces", file, left: sizeBytes };
      return true;
    }
    if (available < sizeBytes) return false;
    if (sizeBytes <= maxInlineBytes) {
      const bytes = fromBytes(this.#window, this.#at, this.#at + sizeBytes);
      this.#at += sizeBytes;
      this.#complete(file, { kind: "inline", bytes });
      return true;
    }
    this.#flushStructure();
    const content = this.#sink.file(this.#window.subarray(this.#at, this.#at + sizeBytes), file.path);
    this.#at += sizeBytes;
    this.#structureStart = this.#at;
    this.#complete(file, content);
    return true;
  }

  #readPiece(phase: { readonly file: PendingFile; left: number }, end: number): boolean {
    const length = Math.min(phase.left, end - this.#at);
    if (length > 0) this.#sink.filePiece(this.#window.subarray(this.#at, this.#at + length));
    this.#at += length;
    this.#structureStart = this.#at;
    phase.left -= length;
    if (phase.left > 0) return false;
    this.#complete(phase.file, this.#sink.endFile());
    return true;
  }

  #complete({ path, stat, xattrs, sizeBytes }: PendingFile, content: FileContent): void {
    this.#sink.entry({ kind: "regular", path, stat, xattrs, content });
    this.#pad(sizeBytes);
  }

  #pad(sizeBytes: number): void {
    const left = paddingBytes(sizeBytes);
    this.#phase = left === 0 ? headerPhase : { kind: "padding", left };
  }

  #skipPadding(phase: { left: number }, end: number): boolean {
    const length = Math.min(phase.left, end - this.#at);
    this.#at += length;
    phase.left -= length;
    if (phase.left > 0) return false;
    this.#phase = headerPhase;
    return true;
  }

  #readSecondZeroBlock(): true {
    if (readHeader(this.#window.subarray(this.#at, this.#at + blockSize)) !== undefined) {
      throw this.#bad("a zero block stands between its entries");
    }
    this.#phase = { kind: "after-end" };
    return true;
  }

  #flushStructure(): void {
    const length = this.#at - this.#structureStart;
    if (length === 0) return;
    this.#structureBytes += length;
    if (this.#structureBytes > this.#limits.structureBytes) {
      throw new OsdeployError(
        "limit-exceeded",
        `Cannot read tar: it has more than ${this.#limits.structureBytes} bytes that are no content of files`,
      );
    }
    this.#sink.structure(this.#window.subarray(this.#structureStart, this.#at));
    this.#structureStart = this.#at;
  }

  #withoutEntry(): OsdeployError {
    return this.#bad("an extension header has no entry");
  }

  #bad(state: string): OsdeployError {
    return new OsdeployError("bad-format", `Cannot read tar: ${state}`);
  }
}
