import { fromText } from "../bytes/byte-string.ts";
import { ByteWriter } from "../bytes/byte-writer.ts";
import { sha256Of } from "../digest/blob-hasher.ts";

/** A table as it goes into the blob. */
export interface PackedTable {
  /** Compressed. */
  readonly bytes: Uint8Array;
  readonly unpackedBytes: number;
}

/** What ends the blob of a zstd:chunked layer, and what its descriptor says of it. */
export interface ChunkedTail {
  readonly bytes: Uint8Array;
  readonly annotations: Readonly<Record<string, string>>;
}

const skippableMagic = 0x184d2a50;
const skippableHeaderBytes = 8;
const footerBytes = 64;
/** The only type of table of contents that is known. */
const tocType = 1;
const prefix = "io.github.containers.zstd-chunked";

/** What a descriptor's annotations say of the tables in its blob: of no use for other bytes of the same layer. */
export function isChunkedAnnotation(key: string): boolean {
  return key.startsWith(`${prefix}.`) || key.startsWith("io.containers.zstd-chunked.") || key === estargzDigest;
}

const estargzDigest = "containerd.io/snapshot/stargz/toc.digest";

/** Both tables and the footer, as skippable frames, for a blob whose data end at `dataEndBytes`. */
export function chunkedTail(
  dataEndBytes: number,
  { toc, tarSplit }: { readonly toc: PackedTable; readonly tarSplit: PackedTable },
): ChunkedTail {
  const tocOffset = dataEndBytes + skippableHeaderBytes;
  const tarSplitOffset = tocOffset + toc.bytes.length + skippableHeaderBytes;
  const lengths = [toc.bytes.length, tarSplit.bytes.length, footerBytes];
  const writer = new ByteWriter(lengths.reduce((sum, length) => sum + skippableHeaderBytes + length, 0));
  for (const { bytes } of [toc, tarSplit]) {
    beginFrame(writer, bytes.length);
    writer.bytes.set(bytes, writer.offset);
    writer.offset += bytes.length;
  }
  beginFrame(writer, footerBytes);
  const tocPlace = [tocOffset, toc.bytes.length, toc.unpackedBytes, tocType];
  const tarSplitPlace = [tarSplitOffset, tarSplit.bytes.length, tarSplit.unpackedBytes];
  for (const number of [...tocPlace, ...tarSplitPlace]) writer.safe64(number);
  writer.string(fromText("GNUlInUx"));
  return {
    bytes: writer.bytes,
    annotations: {
      [`${prefix}.manifest-checksum`]: sha256Of(toc.bytes),
      [`${prefix}.manifest-position`]: tocPlace.join(":"),
      [`${prefix}.tarsplit-position`]: tarSplitPlace.join(":"),
    },
  };
}

function beginFrame(writer: ByteWriter, lengthBytes: number): void {
  writer.u32(skippableMagic);
  writer.u32(lengthBytes);
}
