import { toBytes } from "../core/bytes/byte-string.ts";
import { element } from "../core/bytes/element.ts";
import { BlobHasher } from "../core/digest/blob-hasher.ts";
import type { BlockHasher } from "../core/digest/fs-verity.ts";
import type { ObjectId, VerityAlgorithm } from "../core/digest/object-id.ts";
import { sha256Hex } from "../core/digest/sha256-hex.ts";
import type { ChunkedToc, TocEntry } from "../core/oci/zstd-chunked-toc.ts";
import { readLayerEntries } from "../core/splitstream/layer-entries.ts";
import { readSplitstream } from "../core/splitstream/splitstream-reader.ts";
import type { FileContent } from "../core/tree/inode.ts";
import type { LinuxFiles, Path } from "../linux/linux.ts";
import { ContentIndexBuilder, type IndexedContent } from "./content-index-file.ts";
import { indexObject } from "./layer-assembly.ts";
import { idOf, type LayerContent } from "./layer-contents.ts";
import { digestFile, newScratch } from "./object-check.ts";
import { unlessDamaged } from "./read-object.ts";
import { streamLimitBytes } from "./streams.ts";
import { unpackZstd } from "./zstd-frames.ts";

/** The contents of a layer's files, in the order of its tar; those of empty ones left out. */
export function readContents(files: LinuxFiles, splitstream: Path): readonly FileContent[] {
  const stream = readSplitstream(files.readFile(splitstream, streamLimitBytes), { decompress: unpackZstd });
  return readLayerEntries(stream).flatMap((entry) =>
    entry.kind === "regular" && sizeOf(entry.content) > 0 ? [entry.content] : [],
  );
}

/**
 * The index of a layer that came whole, as its table of contents claims: `contents` are those of its files, in the order of
 * its tar. Empty when the two do not fit together. Nothing is read, so it is worth no more than a claim.
 */
export function claimContents(
  algorithm: VerityAlgorithm,
  contents: readonly LayerContent[],
  toc: ChunkedToc,
): Uint8Array {
  const index = new ContentIndexBuilder(algorithm);
  const entries = toc.entries.filter(({ sizeBytes }) => sizeBytes > 0);
  const isSame =
    entries.length === contents.length && entries.every((entry, i) => lengthOf(contents[i]) === entry.sizeBytes);
  if (isSame) for (const [i, entry] of entries.entries()) claimContent(index, entry, element(contents, i));
  return index.finish();
}

function claimContent(index: ContentIndexBuilder, entry: TocEntry, content: LayerContent): void {
  if (content.kind === "inline") index.addInline(entry.digest, toBytes(content.bytes));
  else indexObject(index, entry, idOf(content.object));
}

function lengthOf(content: LayerContent | undefined): number {
  if (content === undefined) return 0;
  return content.kind === "inline" ? content.bytes.length : content.sizeBytes;
}

/** The objects of a layer, and what it takes to measure them. */
export interface ObjectsToMeasure {
  readonly algorithm: VerityAlgorithm;
  readonly hashBlocks: BlockHasher | undefined;
  readonly pathOf: (id: ObjectId) => Path;
}

/**
 * What is in the contents of a layer, measured: reads all of its objects. Those that cannot be read are left out, and so
 * are damaged ones: what they hold now is not what has their name.
 */
export function measureContents(
  files: LinuxFiles,
  contents: readonly FileContent[],
  objects: ObjectsToMeasure,
): readonly IndexedContent[] {
  const scratch = newScratch();
  const seen = new Set<string>();
  return contents.flatMap((content): readonly IndexedContent[] => {
    if (content.kind === "inline") {
      const bytes = toBytes(content.bytes);
      return [{ digest: sha256Hex(bytes), place: { kind: "inline", bytes } }];
    }
    if (content.digest === undefined || seen.has(content.digest)) return [];
    seen.add(content.digest);
    const id = content.digest as ObjectId;
    const digest = unlessDamaged(() => measureObject(files, id, { scratch, ...objects }));
    const sizeBytes = Number(content.sizeBytes);
    return digest === undefined
      ? []
      : [{ digest, place: { kind: "object", id, offsetBytes: 0, sizeBytes, isWhole: true } }];
  });
}

/** The sha256 of an object; undefined when its bytes are not those that it is named by. */
function measureObject(
  files: LinuxFiles,
  id: ObjectId,
  options: ObjectsToMeasure & { readonly scratch: Uint8Array },
): string | undefined {
  const hasher = new BlobHasher("sha256");
  const onPiece = (piece: Uint8Array) => hasher.update(piece);
  if (digestFile(files, options.pathOf(id), { ...options, onPiece }).id !== id) return undefined;
  return hasher.measured().slice("sha256:".length);
}

function sizeOf(content: FileContent | undefined): number {
  if (content === undefined) return 0;
  return content.kind === "inline" ? content.bytes.length : Number(content.sizeBytes);
}
