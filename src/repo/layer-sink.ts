import type { ByteString } from "../core/bytes/byte-string.ts";
import type { ObjectId } from "../core/digest/object-id.ts";
import { assert } from "../core/errors.ts";
import { type AwaitedObject, SplitstreamWriter } from "../core/splitstream/splitstream-writer.ts";
import type { TarSink } from "../core/tar/tar-scanner.ts";
import type { ExternalContent } from "../core/tree/inode.ts";
import type { LayerEntry } from "../core/tree/layer.ts";
import { type ColumnObject, type LayerColumns, LayerColumnsWriter } from "../core/tree/layer-columns.ts";
import type { LinuxFiles, Path } from "../linux/linux.ts";
import { compressZstd } from "../linux/zstd-encoder.ts";
import { KnownComparison } from "./known-comparison.ts";
import type { KnownFile, KnownFiles } from "./known-files.ts";
import type { LayerContent } from "./layer-contents.ts";
import { holdsExactly, newScratch } from "./object-check.ts";
import type { ObjectStaging, ObjectWriter } from "./object-staging.ts";
import { openZstdRecords } from "./zstd-records.ts";

/** What a layer turned out to hold. */
export interface LayerStats {
  readonly entries: number;
  /** Files that are objects, and how many of them were known by comparison. */
  readonly files: number;
  readonly knownFiles: number;
  /** Bytes of the tar that are in the splitstream itself. */
  readonly inlineBytes: number;
}

export interface SinkOptions {
  /** Files of an image that is already here. */
  readonly known?: KnownFiles | undefined;
  /** Takes the contents of the layer's files, in the order of its tar; those of empty ones are left out. */
  readonly contents?: LayerContent[] | undefined;
}

/** What the scanner is told of content whose object may have no name yet. */
const unnamedContent: ExternalContent = { kind: "external", sizeBytes: 0n, backingPath: undefined, digest: undefined };

/**
 * Where the tar scanner's finds go: contents to the staging area, the rest to the layer's splitstream.
 */
export class LayerSink implements TarSink {
  readonly #files: LinuxFiles;
  readonly #staging: ObjectStaging;
  readonly #known: KnownFiles;
  readonly #contents: LayerContent[] | undefined;
  readonly #records = openZstdRecords();
  readonly #stream: SplitstreamWriter;
  readonly #scratch = newScratch();
  #comparison: KnownComparison | undefined;
  #writer: ObjectWriter | undefined;
  readonly #columns = new LayerColumnsWriter();
  /** Of the file whose entry comes next. */
  #object: ColumnObject | undefined;
  #entries = 0;
  #fileCount = 0;
  #knownCount = 0;
  #inlineBytes = 0;

  constructor(files: LinuxFiles, staging: ObjectStaging, { known, contents }: SinkOptions = {}) {
    this.#contents = contents;
    this.#files = files;
    this.#staging = staging;
    this.#known = known ?? new Map();
    this.#stream = new SplitstreamWriter(staging.algorithm, "layer", this.#records);
  }

  structure(bytes: Uint8Array): void {
    this.#inlineBytes += bytes.length;
    this.#stream.addInline(bytes);
  }

  file(bytes: Uint8Array, path?: ByteString): ExternalContent {
    return this.#addObject(this.#knownObject(bytes, path) ?? this.#staging.addAwaited(bytes), bytes.length);
  }

  beginFile(sizeBytes: number, path?: ByteString): void {
    this.#comparison = this.#compareWith(path, sizeBytes);
    if (this.#comparison === undefined) this.#writer = this.#staging.begin();
  }

  filePiece(bytes: Uint8Array): void {
    if (this.#comparison !== undefined) {
      if (this.#comparison.matches(bytes)) return;
      this.#writer = this.#staging.begin();
      this.#comparison.replay(this.#writer);
      this.#endComparison();
    }
    assert(this.#writer !== undefined, "a piece of a file comes after its beginning");
    this.#writer.write(bytes);
  }

  endFile(): ExternalContent {
    const matched = this.#comparison?.matched;
    this.#endComparison();
    if (matched !== undefined) {
      this.#knownCount++;
      return this.#addObject(matched.id, matched.sizeBytes);
    }
    const writer = this.#writer;
    assert(writer !== undefined, "the end of a file comes after its beginning");
    // Before it is finished: whatever fails then, its file is closed.
    this.#writer = undefined;
    const { id, sizeBytes } = writer.finish();
    return this.#addObject(id, sizeBytes);
  }

  entry(entry: LayerEntry): void {
    this.#entries++;
    this.#columns.add(entry, this.#object);
    this.#object = undefined;
    if (this.#contents === undefined || entry.kind !== "regular" || entry.content.kind !== "inline") return;
    if (entry.content.bytes.length > 0) this.#contents.push(entry.content);
  }

  /** Stages the layer's splitstream; its bytes depend on the zstd library, so its id is no identity of the layer. */
  finish(): { readonly id: ObjectId; readonly stats: LayerStats; readonly columns: LayerColumns } {
    const stats = {
      entries: this.#entries,
      files: this.#fileCount,
      knownFiles: this.#knownCount,
      inlineBytes: this.#inlineBytes,
    };
    const id = this.#staging.add(this.#stream.finish(compressZstd));
    return { id, stats, columns: this.#columns.finish() };
  }

  /** Closes what an error left open. */
  abandon(): void {
    this.#records.close();
    this.#endComparison();
    this.#writer?.abandon();
    this.#writer = undefined;
  }

  #addObject(object: ObjectId | AwaitedObject, sizeBytes: number): ExternalContent {
    this.#fileCount++;
    this.#contents?.push({ kind: "object", object, sizeBytes });
    this.#stream.addObject(object, BigInt(sizeBytes));
    this.#object = { object, sizeBytes };
    return unnamedContent;
  }

  #knownObject(bytes: Uint8Array, path: ByteString | undefined): ObjectId | undefined {
    if (bytes.length < this.#scratch.length) return this.#knownSmallObject(bytes, path);
    const comparison = this.#compareWith(path, bytes.length);
    if (comparison === undefined) return undefined;
    const matched = comparison.matches(bytes) ? comparison.matched : undefined;
    comparison.close();
    if (matched !== undefined) this.#knownCount++;
    return matched?.id;
  }

  /** Nearly all are small: read in one piece, without a look at their size. */
  #knownSmallObject(bytes: Uint8Array, path: ByteString | undefined): ObjectId | undefined {
    const object = this.#comparable(path, bytes.length);
    if (object === undefined || !holdsExactly(this.#files, object.path, { bytes, scratch: this.#scratch }))
      return undefined;
    this.#knownCount++;
    return object.known.id;
  }

  /** The object to compare a file with; undefined where none is likely to hold it. */
  #comparable(
    path: ByteString | undefined,
    sizeBytes: number,
  ): { readonly known: KnownFile; readonly path: Path } | undefined {
    const known = path === undefined ? undefined : this.#known.get(path);
    if (known === undefined || known.sizeBytes !== sizeBytes) return undefined;
    const object = this.#staging.comparablePath(known.id);
    return object && { known, path: object };
  }

  #compareWith(path: ByteString | undefined, sizeBytes: number): KnownComparison | undefined {
    const object = this.#comparable(path, sizeBytes);
    return object && KnownComparison.open(this.#files, { scratch: this.#scratch, ...object });
  }

  #endComparison(): void {
    this.#comparison?.close();
    this.#comparison = undefined;
  }
}
