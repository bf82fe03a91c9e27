import type { VerityAlgorithm } from "../digest/object-id.ts";

/*
 * A splitstream keeps a file (a layer's tar, a manifest, …) as inline bytes and references to objects. All numbers are
 * little endian.
 *
 *   0   11 bytes  "SplitStream"
 *   11  u8        version, 0
 *   12  u16       flags, 0; readers ignore them
 *   14  u8        digest algorithm: 1 sha256, 2 sha512
 *   15  u8        log2 of the fs-verity block size: 12
 *   16  u64, u64  start and end of the info
 *
 * The info is 80 bytes: start and end (u64 each, from the start of the file) of the sections stream refs, object refs,
 * stream, named refs; then the content type (u64) and the size of the reassembled file (u64).
 *
 *   stream refs  digests of other splitstreams or root images, flat
 *   object refs  digests of objects, flat, each once, in the order of first use
 *   stream       zstd; records: an i64 n, then, for n < 0, -n inline bytes; n >= 0 stands for the content of object n
 *   named refs   zstd; sorted by name: "INDEX:NAME", NUL; INDEX counts in the stream refs
 *
 * Files from before spring 2026 have the same header fields in the order info, flags, magic, version, algorithm, block
 * size. The compressed bytes depend on the zstd library, so a splitstream's own digest says nothing across machines.
 */

/** The text at the start of a splitstream. */
export const magic = "SplitStream";
/** Bytes in the header, in either order of its fields. */
export const headerSize = 32;
/** Bytes in the info. */
export const infoSize = 80;

/** How the fields of the header are ordered. */
export interface HeaderLayout {
  readonly magic: number;
  readonly version: number;
  readonly flags: number;
  readonly algorithm: number;
  readonly blockSizeLog: number;
  readonly info: number;
}

/** What is written today, and read. */
export const currentLayout: HeaderLayout = {
  magic: 0,
  version: 11,
  flags: 12,
  algorithm: 14,
  blockSizeLog: 15,
  info: 16,
};

/** What composefs-rs wrote before its header had a fixed order; only read. */
export const formerLayout: HeaderLayout = {
  info: 0,
  flags: 16,
  magic: 18,
  version: 29,
  algorithm: 30,
  blockSizeLog: 31,
};

/** log2 of fs-verity's block size; there is no other. */
export const blockSizeLog = 12;

/** The byte that stands for each algorithm; the same as in fs-verity. */
export const algorithmBytes: Readonly<Record<VerityAlgorithm, number>> = { sha256: 1, sha512: 2 };

/** What a splitstream holds; `other` is what a reader does not know. */
export type SplitstreamContent = "layer" | "config" | "manifest" | "blob" | "other";

/** The content types: eight ASCII letters, read as a little-endian number. */
export const contentTypes: Readonly<Record<Exclude<SplitstreamContent, "other">, string>> = {
  layer: "ocilayer",
  config: "ociconfg",
  manifest: "ocimanif",
  blob: "oci_blob",
};
