import { type ByteString, toBytes, toText } from "../core/bytes/byte-string.ts";
import { BlobHasher } from "../core/digest/blob-hasher.ts";
import { parseDiffId } from "../core/digest/oci-digest.ts";
import { OsdeployError } from "../core/errors.ts";
import { SplitstreamWriter } from "../core/splitstream/splitstream-writer.ts";
import { paddingBytes } from "../core/tar/tar-header.ts";
import { tarEndBytes, writeEntryHeader } from "../core/tar/tar-writer.ts";
import type { LayerEntry } from "../core/tree/layer.ts";
import type { LinuxFiles, Path } from "../linux/linux.ts";
import { compressZstd } from "../linux/zstd-encoder.ts";
import type { ImportedLayer } from "./layer-import.ts";
import type { ObjectStaging } from "./object-staging.ts";
import { layerStreamName } from "./streams.ts";
import { openZstdRecords } from "./zstd-records.ts";

/** A file whose content lies outside of the tree that its entry comes from. */
export type FileEntry = Extract<LayerEntry, { readonly kind: "regular" }>;

/**
 * Makes a layer of entries, instead of importing one: its tar is digested and goes to the staging area and a splitstream,
 * but is never written as a whole. What comes out is the same as if that tar had been fetched.
 *
 * {@link finish} hands out what was staged; before it, and after an error, nothing can be published.
 */
export class LayerWriter {
  readonly #files: LinuxFiles;
  readonly #staging: ObjectStaging;
  readonly #stream: SplitstreamWriter;
  readonly #diffHasher = new BlobHasher("sha256");
  readonly #zeros = new Uint8Array(tarEndBytes);
  #tarBytes = 0;
  #inlineBytes = 0;
  #entries = 0;
  #fileCount = 0;

  constructor(files: LinuxFiles, staging: ObjectStaging) {
    this.#files = files;
    this.#staging = staging;
    this.#stream = new SplitstreamWriter(staging.algorithm, "layer", openZstdRecords());
  }

  /** Adds an entry that is complete as it is: anything but a file with external content. */
  addEntry(entry: LayerEntry): void {
    this.#addStructure(writeEntryHeader(entry));
    if (entry.kind === "regular" && entry.content.kind === "inline") {
      this.#addStructure(toBytes(entry.content.bytes));
      this.#pad(entry.content.bytes.length);
    }
    this.#entries++;
  }

  /**
   * Adds a file with the content of `source`, which is to be as `entry` says: its size, and unchanged since its mtime.
   *
   * @throws OsdeployError `busy` when it changes while it is read; what a read or write throws.
   */
  addFile(entry: FileEntry, sizeBytes: number, source: Path): void {
    this.#addStructure(writeEntryHeader(entry));
    const added = this.#staging.addFile(source, (piece) => this.#diffHasher.update(piece));
    const { kind, mtimeSeconds, mtimeNanoseconds } = this.#files.lstat(source);
    const { stat } = entry;
    const hasSameTime = mtimeSeconds === stat.mtimeSeconds && mtimeNanoseconds === stat.mtimeNanoseconds;
    if (kind !== "regular" || added.sizeBytes !== sizeBytes || !hasSameTime) throw changedFile(source);
    this.#stream.addObject(added.id, BigInt(sizeBytes));
    this.#tarBytes += sizeBytes;
    this.#pad(sizeBytes);
    this.#entries++;
    this.#fileCount++;
  }

  /** Ends the tar and stages the splitstream. */
  finish(): ImportedLayer {
    this.#addStructure(this.#zeros);
    const diffId = parseDiffId(this.#diffHasher.measured());
    const id = this.#staging.add(this.#stream.finish(compressZstd));
    return {
      diffId,
      stream: { name: layerStreamName(diffId), id },
      objects: this.#staging.take(),
      columns: undefined,
      tarBytes: this.#tarBytes,
      stats: { entries: this.#entries, files: this.#fileCount, knownFiles: 0, inlineBytes: this.#inlineBytes },
    };
  }

  #pad(sizeBytes: number): void {
    this.#addStructure(this.#zeros.subarray(0, paddingBytes(sizeBytes)));
  }

  #addStructure(bytes: Uint8Array): void {
    this.#diffHasher.update(bytes);
    this.#stream.addInline(bytes);
    this.#tarBytes += bytes.length;
    this.#inlineBytes += bytes.length;
  }
}

/** The file at `path` is not what it was a moment ago. */
export function changedFile(path: ByteString): OsdeployError {
  return new OsdeployError("busy", `Cannot read "${toText(path)}": it changes while it is read`, {
    facts: { hint: "Run it again when nothing writes there, or give it a snapshot or a copy" },
  });
}
