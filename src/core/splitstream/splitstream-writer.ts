import { type ByteString, compareBytes, fromText, toBytes, writeBytes } from "../bytes/byte-string.ts";
import { fromHex } from "../bytes/hex.ts";
import { digestLength, type ObjectId, type VerityAlgorithm } from "../digest/object-id.ts";
import { OsdeployError } from "../errors.ts";
import {
  algorithmBytes,
  blockSizeLog,
  contentTypes,
  currentLayout,
  headerSize,
  infoSize,
  magic,
  type SplitstreamContent,
} from "./splitstream-format.ts";

/** Compresses `bytes` to one zstd frame. */
export type Compress = (bytes: Uint8Array) => Uint8Array;

/** Compresses bytes that come one after the other to one zstd frame. */
export interface StreamCompressor {
  write(bytes: Uint8Array): void;
  finish(): Uint8Array;
}

/** An object whose id may take until it is asked for to be known. */
export interface AwaitedObject {
  readonly id: ObjectId;
}

/** Whole records are handed to the compressor when there are this many bytes of them. */
const flushBytes = 256 * 1024;

/**
 * A run of inline bytes is one record, whose length stands before it, so it is held in memory. The image chooses how long
 * it is; this is some 100 000 symlinks or files of a few bytes without a larger one between them.
 */
const inlineLimitBytes = 256 * 1024 * 1024;

/**
 * Collects the records of one splitstream, then frames them.
 *
 * Inline bytes are copied; runs of them become one record. With a compressor, records are compressed as they come, and
 * memory holds them only in that form; else they are kept until {@link finish}, which is called once, at the end.
 */
export class SplitstreamWriter {
  readonly #algorithm: VerityAlgorithm;
  readonly #content: Exclude<SplitstreamContent, "other">;
  readonly #objects = new Map<ObjectId, number>();
  readonly #streams = new Map<ObjectId, number>();
  readonly #names = new Map<string, ObjectId>();
  #records = new Uint8Array(64 * 1024);
  #length = 0;
  /** Where the open inline record starts; undefined when the last record is an object. */
  #inlineStart: number | undefined;
  #sizeBytes = 0n;
  /** Objects whose place in the order of first use is not written yet, and where in the records it belongs. */
  #openObjects: { readonly at: number; readonly object: ObjectId | AwaitedObject }[] = [];
  readonly #compressor: StreamCompressor | undefined;

  constructor(
    algorithm: VerityAlgorithm,
    content: Exclude<SplitstreamContent, "other">,
    compressor?: StreamCompressor,
  ) {
    this.#algorithm = algorithm;
    this.#content = content;
    this.#compressor = compressor;
  }

  /**
   * Adds bytes that are kept in the stream itself.
   *
   * @throws OsdeployError `limit-exceeded` when a run of them is longer than 256 MiB.
   */
  addInline(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    if (this.#length + bytes.length > inlineLimitBytes) {
      throw new OsdeployError(
        "limit-exceeded",
        `Cannot keep more than ${inlineLimitBytes} bytes in one piece of a splitstream`,
      );
    }
    if (this.#inlineStart === undefined) {
      this.#inlineStart = this.#length;
      this.#reserve(8);
      this.#length += 8;
    }
    this.#reserve(bytes.length);
    this.#records.set(bytes, this.#length);
    this.#length += bytes.length;
    this.#sizeBytes += BigInt(bytes.length);
  }

  /** Adds the content of an object of `sizeBytes`. An awaited id is asked for when the records are handed on. */
  addObject(object: ObjectId | AwaitedObject, sizeBytes: bigint): void {
    this.#closeInline();
    if (this.#length >= flushBytes) this.#flush();
    this.#reserve(8);
    this.#openObjects.push({ at: this.#length, object });
    this.#length += 8;
    this.#sizeBytes += sizeBytes;
  }

  /** Names another splitstream or root image, for example a layer by its diff id. A name given again is replaced. */
  addNamedRef(name: string, id: ObjectId): void {
    this.#names.set(name, id);
    indexOf(this.#streams, id);
  }

  /** The bytes of the file. What no compressor has taken yet is compressed by `compress`. */
  finish(compress: Compress): Uint8Array {
    this.#closeInline();
    this.#closeObjects();
    const streamRefs = this.#digests(this.#streams);
    const objectRefs = this.#digests(this.#objects);
    const namedRefs = compress(this.#namedRefs());
    const stream = this.#compressedRecords(compress);
    const sections = [streamRefs, objectRefs, namedRefs, stream];
    const file = new Uint8Array(sections.reduce((sum, section) => sum + section.length, headerSize + infoSize));
    const ends: number[] = [];
    let at = headerSize + infoSize;
    for (const section of sections) {
      file.set(section, at);
      at += section.length;
      ends.push(at);
    }
    const [streamRefsEnd = 0, objectRefsEnd = 0, namedRefsEnd = 0, streamEnd = 0] = ends;
    this.#writeHeader(file);
    const info = [headerSize + infoSize, streamRefsEnd, streamRefsEnd, objectRefsEnd, namedRefsEnd, streamEnd];
    this.#writeInfo(file, [...info, objectRefsEnd, namedRefsEnd]);
    return file;
  }

  #compressedRecords(compress: Compress): Uint8Array {
    if (this.#compressor === undefined) return compress(this.#records.subarray(0, this.#length));
    this.#flush();
    return this.#compressor.finish();
  }

  /** Hands whole records on. */
  #flush(): void {
    if (this.#compressor === undefined) return;
    this.#closeObjects();
    this.#compressor.write(this.#records.subarray(0, this.#length));
    this.#length = 0;
  }

  #writeHeader(file: Uint8Array): void {
    const view = new DataView(file.buffer);
    writeBytes(fromText(magic), file, currentLayout.magic);
    file[currentLayout.algorithm] = algorithmBytes[this.#algorithm];
    file[currentLayout.blockSizeLog] = blockSizeLog;
    view.setBigUint64(currentLayout.info, BigInt(headerSize), true);
    view.setBigUint64(currentLayout.info + 8, BigInt(headerSize + infoSize), true);
  }

  #writeInfo(file: Uint8Array, ranges: readonly number[]): void {
    const view = new DataView(file.buffer, headerSize);
    ranges.forEach((value, i) => {
      view.setBigUint64(8 * i, BigInt(value), true);
    });
    writeBytes(fromText(contentTypes[this.#content]), file, headerSize + 64);
    view.setBigUint64(72, this.#sizeBytes, true);
  }

  #digests(ids: ReadonlyMap<ObjectId, number>): Uint8Array {
    const length = digestLength(this.#algorithm);
    const bytes = new Uint8Array(ids.size * length);
    for (const [id, index] of ids) bytes.set(fromHex(id), index * length);
    return bytes;
  }

  #namedRefs(): Uint8Array {
    const names = [...this.#names].map(([name, id]) => ({ name: fromText(name), id }));
    names.sort((a, b) => compareBytes(a.name, b.name));
    const lines = names.map(({ name, id }) => `${indexOf(this.#streams, id)}:${name}\0`);
    return toBytes(lines.join("") as ByteString);
  }

  #closeInline(): void {
    if (this.#inlineStart === undefined) return;
    const length = this.#length - this.#inlineStart - 8;
    this.#view().setBigInt64(this.#inlineStart, BigInt(-length), true);
    this.#inlineStart = undefined;
  }

  #closeObjects(): void {
    const view = this.#view();
    for (const { at, object } of this.#openObjects) {
      const id = typeof object === "string" ? object : object.id;
      view.setBigInt64(at, BigInt(indexOf(this.#objects, id)), true);
    }
    this.#openObjects = [];
  }

  #view(): DataView {
    return new DataView(this.#records.buffer);
  }

  #reserve(length: number): void {
    if (this.#length + length <= this.#records.length) return;
    const grown = new Uint8Array(Math.max(this.#records.length * 2, this.#length + length));
    grown.set(this.#records.subarray(0, this.#length));
    this.#records = grown;
  }
}

/** The place of `id` in the order of first use. */
function indexOf(ids: Map<ObjectId, number>, id: ObjectId): number {
  const known = ids.get(id);
  if (known !== undefined) return known;
  ids.set(id, ids.size);
  return ids.size - 1;
}
