import { type ByteString, inQuotes, toBytes } from "../bytes/byte-string.ts";
import { joinBytes } from "../bytes/join-bytes.ts";
import { exactText } from "../bytes/utf8.ts";
import { BlobHasher } from "../digest/blob-hasher.ts";
import { assert, OsdeployError } from "../errors.ts";
import { ChunkSplitter } from "./chunk-splitter.ts";
import { Crc64 } from "./crc64.ts";
import type { OutlineEntry } from "./outline-entry.ts";
import { TarOutline } from "./tar-outline.ts";
import { fileLine, segmentLine } from "./tar-split-text.ts";
import { emptyTocStart, type PackedChunk, tocEnd, tocEntry, tocStart } from "./toc-text.ts";

/** Where a zstd:chunked layer goes. What is handed out is valid only during the call. */
export interface ChunkedSink {
  /** The next bytes of the tar, for the zstd frame that is open. */
  data(bytes: Uint8Array): void;
  /** Ends the frame that is open; one without bytes is none. Returns how many bytes the blob has then. */
  endFrame(): number;
  /** The next text of the tar-split, which is to be compressed by itself. */
  tarSplit(text: string): void;
  /** The next text of the table of contents, which is to be compressed by itself. */
  toc(text: string): void;
}

/** A file whose content is coming. */
interface OpenFile {
  readonly entry: OutlineEntry;
  readonly name: string;
  readonly hasher: BlobHasher;
  readonly checksum: Crc64;
  readonly chunks: PackedChunk[];
}

/** Bytes in one segment at most where there is no entry to end it. */
const segmentLimitBytes = 1024 * 1024;
const zeroBytes = new Uint8Array(64 * 1024);

/**
 * Writes a layer in the form of containers/storage that can be pulled in parts: a zstd frame for each chunk of each file
 * and for what is between, a table of contents, and a tar-split.
 *
 * Hand it the tar with {@link push} and {@link finish}; then compress what `tarSplit` got, and hand in its digest with
 * {@link finishToc}. Memory grows with the number of entries, not with their contents.
 *
 * @throws OsdeployError `unsupported`, `bad-format` or `limit-exceeded` for a tar that this form cannot say: entries of
 * one path, names that are no UTF-8, unknown types, sparse files. A plain zstd layer can hold it.
 * @see https://github.com/containers/container-libs/blob/main/storage/docs/containers-storage-zstd-chunked.md
 */
export class ChunkedLayerWriter {
  readonly #sink: ChunkedSink;
  readonly #outline: TarOutline;
  readonly #splitter: ChunkSplitter;
  readonly #paths = new Set<string>();
  /** Bytes for the next segment. */
  #segment: Uint8Array[] = [];
  #segmentBytes = 0;
  #segmentRoom = Number.POSITIVE_INFINITY;
  /** Lines of the tar-split so far. */
  #position = 0;
  #file: OpenFile | undefined;
  #hasEntries = false;
  #frameStart = 0;
  #chunkBytes = 0;
  #chunkHasher = new BlobHasher("sha256");

  constructor(sink: ChunkedSink) {
    this.#sink = sink;
    this.#outline = new TarOutline({
      raw: (bytes) => this.#addRaw(bytes),
      entry: (entry) => this.#beginEntry(entry),
      content: (bytes) => this.#addContent(bytes),
      endContent: () => this.#endContent(),
      endOfArchive: () => this.#endOfArchive(),
    });
    this.#splitter = new ChunkSplitter({
      data: (bytes) => this.#addToChunk(bytes),
      endChunk: () => this.#endChunk(false),
      zeros: (lengthBytes) => this.#addZeros(lengthBytes),
    });
  }

  push(tar: Uint8Array): void {
    this.#outline.push(tar);
  }

  /** The tar is complete: so are the frames and the tar-split. */
  finish(): void {
    this.#outline.finish();
    this.#endSegment();
    this.#sink.endFrame();
  }

  /** `tarSplitDigest` is that of the compressed tar-split, in OCI's form. */
  finishToc(tarSplitDigest: string): void {
    if (!this.#hasEntries) this.#sink.toc(emptyTocStart);
    this.#sink.toc(tocEnd(tarSplitDigest, this.#hasEntries));
  }

  #addRaw(bytes: Uint8Array): void {
    this.#sink.data(bytes);
    for (let at = 0; at < bytes.length; ) {
      // A copy: the slice of what is a Buffer would be none.
      const part = new Uint8Array(bytes.subarray(at, at + this.#segmentRoom - this.#segmentBytes));
      this.#segment.push(part);
      this.#segmentBytes += part.length;
      at += part.length;
      if (this.#segmentBytes === this.#segmentRoom) this.#endSegment();
    }
  }

  #endSegment(): void {
    if (this.#segmentBytes === 0) return;
    this.#sink.tarSplit(segmentLine(joinBytes(this.#segment), this.#position++));
    this.#segment = [];
    this.#segmentBytes = 0;
  }

  #endOfArchive(): void {
    this.#endSegment();
    this.#segmentRoom = segmentLimitBytes;
  }

  #beginEntry(entry: OutlineEntry): void {
    this.#endSegment();
    const name = exactText(toBytes(entry.name));
    if (name === undefined) throw unsupported(entry.name, "it is no UTF-8");
    this.#addPath(entry.name);
    if (entry.sizeBytes === 0) {
      this.#addEntry({ name, sizeBytes: 0, checksum: undefined }, tocEntry(entry, undefined));
      return;
    }
    this.#frameStart = this.#sink.endFrame();
    this.#file = { entry, name, hasher: new BlobHasher("sha256"), checksum: new Crc64(), chunks: [] };
  }

  /** A table of contents is a map: of two entries for one path readers would see one. */
  #addPath(name: ByteString): void {
    const components = name.split("/").filter((component) => component !== "" && component !== ".");
    const path = components.join("/");
    if (components.includes("..") || this.#paths.has(path)) throw unsupported(name, "its path is not its own");
    this.#paths.add(path);
  }

  #addEntry(file: Parameters<typeof fileLine>[0], toc: string): void {
    this.#sink.tarSplit(fileLine(file, this.#position++));
    this.#sink.toc(`${this.#hasEntries ? "," : tocStart}${toc}`);
    this.#hasEntries = true;
  }

  #addContent(bytes: Uint8Array): void {
    const { hasher, checksum } = this.#openFile();
    hasher.update(bytes);
    checksum.update(bytes);
    this.#splitter.push(bytes);
  }

  #endContent(): void {
    this.#splitter.finish();
    const { entry, name, hasher, checksum, chunks } = this.#openFile();
    const content = { digest: hasher.measured(), endBytes: this.#frameStart, chunks };
    const { sizeBytes } = entry;
    this.#addEntry({ name, sizeBytes, checksum: checksum.value() }, tocEntry(entry, content));
    this.#file = undefined;
  }

  #openFile(): OpenFile {
    assert(this.#file !== undefined, "content belongs to a file");
    return this.#file;
  }

  #addToChunk(bytes: Uint8Array): void {
    this.#sink.data(bytes);
    this.#chunkHasher.update(bytes);
    this.#chunkBytes += bytes.length;
  }

  /** The plain tar needs the zeros, too: readers of the table leave this frame out. */
  #addZeros(lengthBytes: number): void {
    for (let left = lengthBytes; left > 0; left -= zeroBytes.length) {
      this.#addToChunk(zeroBytes.subarray(0, Math.min(left, zeroBytes.length)));
    }
    this.#endChunk(true);
  }

  #endChunk(isZeros: boolean): void {
    const digest = this.#chunkHasher.measured();
    const { chunks } = this.#openFile();
    chunks.push({ offsetBytes: this.#frameStart, sizeBytes: this.#chunkBytes, digest, isZeros });
    this.#frameStart = this.#sink.endFrame();
    this.#chunkBytes = 0;
    this.#chunkHasher = new BlobHasher("sha256");
  }
}

function unsupported(name: ByteString, state: string): OsdeployError {
  const shown = inQuotes(name);
  return new OsdeployError("unsupported", `Cannot put ${shown} into a table of contents: ${state}`);
}
