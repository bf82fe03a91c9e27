import { BlobHasher } from "../core/digest/blob-hasher.ts";
import type { ObjectId } from "../core/digest/object-id.ts";
import { type DiffId, splitDigest } from "../core/digest/oci-digest.ts";
import { OsdeployError } from "../core/errors.ts";
import type { ContentPiece, ContentPlan } from "../core/oci/plan-partial-pull.ts";
import type { TocEntry } from "../core/oci/zstd-chunked-toc.ts";
import { type AwaitedObject, SplitstreamWriter } from "../core/splitstream/splitstream-writer.ts";
import { defaultTarLimits, type TarLimits } from "../core/tar/tar-limits.ts";
import { maxInlineBytes, TarScanner, type TarSink } from "../core/tar/tar-scanner.ts";
import { readTarSplit } from "../core/tar/tar-split.ts";
import type { ExternalContent } from "../core/tree/inode.ts";
import { type ColumnObject, LayerColumnsWriter } from "../core/tree/layer-columns.ts";
import type { LinuxFiles } from "../linux/linux.ts";
import { compressZstd } from "../linux/zstd-encoder.ts";
import { ContentIndexBuilder } from "./content-index-file.ts";
import type { FetchedFrames } from "./fetched-frames.ts";
import { type KnownContent, type KnownContents, readKnownObject, readKnownPieces } from "./known-contents.ts";
import { idOf } from "./layer-contents.ts";
import type { ImportedLayer } from "./layer-import.ts";
import type { ObjectStaging, ObjectWriter } from "./object-staging.ts";
import { layerStreamName } from "./streams.ts";
import { openZstdRecords } from "./zstd-records.ts";

/** A layer that is put together from its tables, known contents and fetched frames. */
export interface AssembledLayer {
  readonly diffId: DiffId;
  readonly entries: readonly TocEntry[];
  /** One for each of `entries`; known contents are records of `known`. */
  readonly contents: readonly ContentPlan<number>[];
  readonly known: KnownContents;
  /** Unpacked. */
  readonly tarSplit: Uint8Array;
  readonly limits?: TarLimits;
  /** Bytes that the tar may have. The registry chooses its size. */
  readonly tarBytesLimit: number;
  /** Told now and then how many bytes of the tar are done. @throws what is to end the import. */
  readonly onProgress: (tarBytes: number) => void;
}

/** What the scanner is told of content whose object may have no name yet. */
const unnamedContent: ExternalContent = { kind: "external", sizeBytes: 0n, backingPath: undefined, digest: undefined };

/** Bytes of the tar are digested in pieces of this size; files that fit are read straight into their place. */
const windowBytes = 1024 * 1024;
/** New files up to this size are written by one call. */
const wholeFileBytes = 1024 * 1024;

/**
 * Puts a zstd:chunked layer's tar together again, and stages what a full import of it stages: the same objects and the
 * same splitstream. Contents that are known are read, not digested again one by one and not written; what says that they
 * are the right ones is the diff id of the whole.
 *
 * Runs in a worker. Until {@link run} returns, and after any error, nothing of it can be published.
 */
export class LayerAssembly {
  readonly #files: LinuxFiles;
  readonly #staging: ObjectStaging;
  readonly #layer: AssembledLayer;
  readonly #frames: FetchedFrames;
  readonly #hasher: BlobHasher;
  readonly #records = openZstdRecords();
  readonly #stream: SplitstreamWriter;
  readonly #scanner: TarScanner;
  /** Bytes of the tar that are not digested yet. */
  readonly #window = new Uint8Array(windowBytes + 1);
  readonly #scratch = new Uint8Array(windowBytes);
  #used = 0;
  #tarBytes = 0;
  #writer: ObjectWriter | undefined;
  readonly #columns = new LayerColumnsWriter();
  /** Of the file whose entry comes next. */
  #object: ColumnObject | undefined;
  readonly #inline: { readonly digest: string; readonly bytes: Uint8Array }[] = [];
  readonly #objects: { readonly entry: TocEntry; readonly object: ObjectId | AwaitedObject }[] = [];
  readonly #stats = { entries: 0, files: 0, knownFiles: 0, inlineBytes: 0 };

  constructor(files: LinuxFiles, staging: ObjectStaging, layer: AssembledLayer, frames: FetchedFrames) {
    this.#files = files;
    this.#staging = staging;
    this.#layer = layer;
    this.#frames = frames;
    this.#hasher = new BlobHasher(splitDigest(layer.diffId).algorithm);
    this.#stream = new SplitstreamWriter(staging.algorithm, "layer", this.#records);
    const limits = layer.limits ?? defaultTarLimits;
    this.#scanner = new TarScanner(this.#sink(), { limits, maxWholeFileBytes: Number.MAX_SAFE_INTEGER });
  }

  /**
   * Does it all.
   *
   * @throws OsdeployError `digest-mismatch` when the tar does not measure to the diff id; `bad-format`, `limit-exceeded`,
   * `unsupported` and `damaged` for tables and contents that do not fit together.
   */
  run(): ImportedLayer {
    const { diffId, tarSplit } = this.#layer;
    let entry = 0;
    for (const record of readTarSplit(tarSplit)) {
      if (record.kind === "segment") this.#addStructure(record.bytes);
      else this.#addContent(record, entry++);
    }
    if (entry !== this.#layer.entries.length)
      throw disagree("the table of contents has more entries than the tar-split");
    this.#digest();
    this.#scanner.finish();
    const measured = this.#hasher.measured();
    if (measured !== diffId) {
      throw new OsdeployError(
        "digest-mismatch",
        `Cannot put layer ${diffId} together: its tar measures to ${measured}`,
      );
    }
    const stream = { name: layerStreamName(diffId), id: this.#staging.add(this.#stream.finish(compressZstd)) };
    const columns = this.#columns.finish();
    const objects = this.#staging.take();
    return { diffId, stream, objects, columns, tarBytes: this.#tarBytes, stats: this.#stats };
  }

  /** The index of the layer's contents, to be asked for after {@link run}. */
  index(): Uint8Array {
    const index = new ContentIndexBuilder(this.#staging.algorithm);
    for (const { digest, bytes } of this.#inline) index.addInline(digest, bytes);
    for (const { entry, object } of this.#objects) indexObject(index, entry, idOf(object));
    return index.finish();
  }

  /** Frees what is held, and removes what was staged unless `run` has handed it out. To be called in any case. */
  close(): void {
    this.#records.close();
    this.#writer?.abandon();
    this.#writer = undefined;
    this.#staging.discard();
  }

  #sink(): TarSink {
    const refuse = (): never => {
      throw disagree("a file's content is among what is no content");
    };
    return {
      structure: (bytes) => {
        this.#stats.inlineBytes += bytes.length;
        this.#stream.addInline(bytes);
      },
      file: refuse,
      beginFile: refuse,
      filePiece: refuse,
      endFile: refuse,
      entry: (entry) => {
        this.#stats.entries++;
        this.#columns.add(entry, this.#object);
        this.#object = undefined;
      },
    };
  }

  /** Takes bytes that belong to the splitstream itself. */
  #addStructure(bytes: Uint8Array): void {
    this.#countTar(bytes.length);
    this.#take(bytes);
    // Writers end a segment where a header is complete. What ends elsewhere would have to be kept and scanned again.
    if (this.#scanner.scan(bytes) < bytes.length) throw disagree("a header is cut in two");
  }

  #addContent(file: { readonly name: string | undefined; readonly sizeBytes: number }, number: number): void {
    const entry = this.#layer.entries[number];
    const plan = this.#layer.contents[number];
    if (entry === undefined || plan === undefined) throw disagree("the tar-split has more entries than the table");
    const isSame = entry.sizeBytes === file.sizeBytes && (file.name === undefined || file.name === entry.name);
    if (!isSame) throw disagree(`entry ${number} is another one in each of them`);
    const { digest, sizeBytes } = entry;
    if (sizeBytes === 0) return;
    if (sizeBytes <= maxInlineBytes) {
      const bytes = this.#inlineContent(plan, entry);
      this.#inline.push({ digest, bytes });
      this.#addStructure(bytes);
      return;
    }
    if (this.#scanner.awaitedFileBytes !== sizeBytes) throw disagree(`entry ${number} has another size in the tar`);
    this.#countTar(sizeBytes);
    const object = this.#objectOf(plan, entry);
    this.#stats.files++;
    this.#stream.addObject(object, BigInt(sizeBytes));
    this.#object = { object, sizeBytes };
    this.#scanner.supplyFile(unnamedContent);
    this.#objects.push({ entry, object });
  }

  #inlineContent(plan: ContentPlan<number>, entry: TocEntry): Uint8Array {
    const bytes = new Uint8Array(entry.sizeBytes);
    let at = 0;
    this.#readPieces(plan, entry, (part) => {
      bytes.set(part, at);
      at += part.length;
    });
    return bytes;
  }

  /** Passes the content on to the digest, and says which object holds it: one that is here, or a new one. */
  #objectOf(plan: ContentPlan<number>, entry: TocEntry): ObjectId | AwaitedObject {
    const { sizeBytes } = entry;
    const [piece] = plan;
    const known = plan.length === 1 && piece?.kind === "known" ? this.#layer.known.at(piece.known) : undefined;
    if (known?.place.kind === "object" && known.place.isWhole) {
      this.#stats.knownFiles++;
      this.#takeKnown(known, sizeBytes);
      return known.place.id;
    }
    return sizeBytes <= wholeFileBytes ? this.#addWhole(plan, entry) : this.#addPieces(plan, entry);
  }

  #takeKnown(known: KnownContent, sizeBytes: number): void {
    const content = { known, sizeBytes, isWhole: true };
    if (sizeBytes > windowBytes / 4) {
      this.#digest();
      readKnownPieces(this.#files, content, { scratch: this.#scratch, use: (piece) => this.#hasher.update(piece) });
      return;
    }
    if (this.#used + sizeBytes > windowBytes) this.#digest();
    readKnownObject(this.#files, content, this.#window.subarray(this.#used));
    this.#used += sizeBytes;
  }

  #addWhole(plan: ContentPlan<number>, entry: TocEntry): AwaitedObject {
    // Put together in the window, so that it is digested from there, too.
    if (this.#used + entry.sizeBytes > windowBytes) this.#digest();
    const start = this.#used;
    this.#readPieces(plan, entry, (part) => {
      this.#window.set(part, this.#used);
      this.#used += part.length;
    });
    return this.#staging.addAwaited(this.#window.subarray(start, this.#used));
  }

  #addPieces(plan: ContentPlan<number>, entry: TocEntry): ObjectId {
    this.#digest();
    const writer = this.#staging.begin();
    this.#writer = writer;
    this.#readPieces(plan, entry, (part) => {
      this.#hasher.update(part);
      writer.write(part);
    });
    this.#writer = undefined;
    return writer.finish().id;
  }

  /** Reads a new file: each of its pieces, and all of them together, have the sha256 that the table of contents says. */
  #readPieces(plan: ContentPlan<number>, entry: TocEntry, use: (part: Uint8Array) => void): void {
    const [piece] = plan;
    if (plan.length === 1 && piece !== undefined) {
      this.#readPiece(piece, use);
      return;
    }
    const hasher = new BlobHasher("sha256");
    for (const piece of plan) {
      this.#readPiece(piece, (part) => {
        hasher.update(part);
        use(part);
      });
    }
    this.#check(hasher, entry.digest);
  }

  /** Reads a piece of a new file, and compares its sha256 with what the table of contents says. */
  #readPiece(piece: ContentPiece<number>, use: (part: Uint8Array) => void): void {
    const { digest, sizeBytes } = piece;
    const hasher = new BlobHasher("sha256");
    const check = (part: Uint8Array) => {
      hasher.update(part);
      use(part);
    };
    if (piece.kind === "frame") this.#frames.read(piece.frame, sizeBytes, check);
    else if (piece.kind === "zeros") readZeros(sizeBytes, this.#scratch, check);
    else {
      const content = { known: this.#layer.known.at(piece.known), sizeBytes, isWhole: false };
      readKnownPieces(this.#files, content, { scratch: this.#scratch, use: check });
    }
    this.#check(hasher, digest);
  }

  #check(hasher: BlobHasher, digest: string): void {
    if (hasher.measured() === `sha256:${digest}`) return;
    throw new OsdeployError("digest-mismatch", `Cannot use a part of layer ${this.#layer.diffId}: it is not ${digest}`);
  }

  /** Puts bytes of the tar before the digest. */
  #take(bytes: Uint8Array): void {
    if (this.#used + bytes.length > windowBytes) this.#digest();
    if (bytes.length > windowBytes) {
      this.#hasher.update(bytes);
      return;
    }
    this.#window.set(bytes, this.#used);
    this.#used += bytes.length;
  }

  #digest(): void {
    this.#hasher.update(this.#window.subarray(0, this.#used));
    this.#used = 0;
    this.#layer.onProgress(this.#tarBytes);
  }

  #countTar(bytes: number): void {
    this.#tarBytes += bytes;
    if (this.#tarBytes <= this.#layer.tarBytesLimit) return;
    const state = `its tar has more than ${this.#layer.tarBytesLimit} bytes`;
    throw new OsdeployError("limit-exceeded", `Cannot use layer ${this.#layer.diffId}: ${state}`);
  }
}

/** Puts into an index what it can say of a file's content, and of its parts. */
export function indexObject(index: ContentIndexBuilder, { chunks, digest, sizeBytes }: TocEntry, id: ObjectId): void {
  index.addObject(digest, { id, offsetBytes: 0, sizeBytes, isWhole: true });
  if (chunks.length === 1) return;
  let offsetBytes = 0;
  for (const { digest, frame, sizeBytes } of chunks) {
    // Zeros need no place to come from.
    if (frame !== undefined) index.addObject(digest, { id, offsetBytes, sizeBytes, isWhole: false });
    offsetBytes += sizeBytes;
  }
}

function readZeros(sizeBytes: number, scratch: Uint8Array, use: (part: Uint8Array) => void): void {
  scratch.fill(0);
  for (let left = sizeBytes; left > 0; left -= Math.min(left, scratch.length)) {
    use(scratch.subarray(0, Math.min(left, scratch.length)));
  }
}

function disagree(state: string): OsdeployError {
  return new OsdeployError("bad-format", `Cannot use the layer's table of contents and tar-split: ${state}`);
}
