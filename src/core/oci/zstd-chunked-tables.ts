import { isHex } from "../bytes/hex.ts";
import type { LayerDescriptor } from "./manifest.ts";

/** A compressed table in a layer's blob. */
export interface ChunkedTable {
  readonly offsetBytes: number;
  readonly lengthBytes: number;
  /** Bytes that it unpacks to. */
  readonly unpackedBytes: number;
}

/**
 * Where a zstd:chunked layer keeps its two tables: the table of contents (digest of each file, place of its zstd frames)
 * and the tar-split (everything of the tar that is no content). Both lie at the end of the blob, next to each other.
 */
export interface ChunkedTables {
  readonly toc: ChunkedTable;
  readonly tarSplit: ChunkedTable;
  /** Hex of the sha256 of the compressed table of contents. */
  readonly tocDigest: string;
}

/**
 * What the two tables may unpack to; layers of 15 000 entries have 3 MB and 9 MB. The registry chooses these sizes, and
 * both are held in memory by each thread: a layer with larger ones is pulled whole.
 */
const chunkedLimits = { tocBytes: 32 * 1024 * 1024, tarSplitBytes: 96 * 1024 * 1024 } as const;

const prefix = "io.github.containers.zstd-chunked";
const estargzDigest = "containerd.io/snapshot/stargz/toc.digest";
/** The magic number and the length in front of a skippable zstd frame. */
export const skippableHeaderBytes = 8;
/** A skippable frame's header and the footer, which is the last of the blob. */
const footerFrameBytes = skippableHeaderBytes + 64;

/**
 * Finds the tables of a zstd:chunked layer in the annotations of its descriptor. Undefined for every layer that is none,
 * or that can only be pulled whole: with the tables in other places than every writer puts them, of another type, too
 * large, or with two kinds of tables, which could tell two stories.
 */
export function findChunkedTables(layer: LayerDescriptor): ChunkedTables | undefined {
  const { annotations, compression, sizeBytes } = layer;
  if (compression !== "zstd" || annotations.has(estargzDigest)) return undefined;
  const tocDigest = hexOf(annotations.get(`${prefix}.manifest-checksum`));
  const toc = parseTable(
    annotations.get(`${prefix}.manifest-position`),
    /^([0-9]{1,15}):([0-9]{1,15}):([0-9]{1,15}):1$/,
  );
  const tarSplit = parseTable(
    annotations.get(`${prefix}.tarsplit-position`),
    /^([0-9]{1,15}):([0-9]{1,15}):([0-9]{1,15})$/,
  );
  if (tocDigest === undefined || toc === undefined || tarSplit === undefined) return undefined;
  const inOrder =
    toc.offsetBytes >= skippableHeaderBytes &&
    tarSplit.offsetBytes === endOf(toc) + skippableHeaderBytes &&
    endOf(tarSplit) + footerFrameBytes === sizeBytes;
  if (!inOrder || !isWithin(toc, chunkedLimits.tocBytes) || !isWithin(tarSplit, chunkedLimits.tarSplitBytes)) {
    return undefined;
  }
  return { toc, tarSplit, tocDigest };
}

/** The hex of a sha256 digest in OCI's form; undefined when it is none. */
export function hexOf(digest: unknown): string | undefined {
  if (typeof digest !== "string" || !digest.startsWith("sha256:")) return undefined;
  const hex = digest.slice("sha256:".length);
  return isHex(hex, 32) ? hex : undefined;
}

function parseTable(text: string | undefined, form: RegExp): ChunkedTable | undefined {
  const match = text === undefined ? null : form.exec(text);
  if (match === null) return undefined;
  return { offsetBytes: Number(match[1]), lengthBytes: Number(match[2]), unpackedBytes: Number(match[3]) };
}

function endOf(table: ChunkedTable): number {
  return table.offsetBytes + table.lengthBytes;
}

/** Whether a table is within its limit; one that is larger compressed than unpacked is nothing that a writer makes. */
function isWithin(table: ChunkedTable, limitBytes: number): boolean {
  return table.unpackedBytes <= limitBytes && table.lengthBytes <= table.unpackedBytes + 1024;
}
