import { sha256Hex } from "../core/digest/sha256-hex.ts";
import { OsdeployError } from "../core/errors.ts";
import type { ChunkedTable, ChunkedTables } from "../core/oci/zstd-chunked-tables.ts";
import { skippableHeaderBytes } from "../core/oci/zstd-chunked-tables.ts";
import { type ChunkedToc, parseChunkedToc } from "../core/oci/zstd-chunked-toc.ts";
import { openDecoder } from "../linux/open-decoder.ts";

/** The part of a layer's blob that holds both tables. */
export function tablesRange({ toc, tarSplit }: ChunkedTables): {
  readonly offsetBytes: number;
  readonly lengthBytes: number;
} {
  return { offsetBytes: toc.offsetBytes, lengthBytes: tarSplit.offsetBytes + tarSplit.lengthBytes - toc.offsetBytes };
}

/**
 * Reads the table of contents out of the bytes of {@link tablesRange}.
 *
 * @throws OsdeployError `digest-mismatch` when it is not the one that the manifest promises; `bad-format`, `unsupported`
 * or `limit-exceeded` when it cannot be used.
 */
export function readToc(tables: ChunkedTables, bytes: Uint8Array): ChunkedToc {
  const packed = bytes.subarray(0, tables.toc.lengthBytes);
  const unpacked = unpackTable(packed, { table: tables.toc, digest: tables.tocDigest, name: "table of contents" });
  return parseChunkedToc(unpacked, tables.toc.offsetBytes - skippableHeaderBytes);
}

/** Unpacks the tar-split out of the bytes of {@link tablesRange}; throws as {@link readToc}. */
export function unpackTarSplit(tables: ChunkedTables, toc: ChunkedToc, bytes: Uint8Array): Uint8Array {
  const packed = bytes.subarray(tables.tarSplit.offsetBytes - tables.toc.offsetBytes);
  return unpackTable(packed, { table: tables.tarSplit, digest: toc.tarSplitDigest, name: "tar-split" });
}

function unpackTable(
  packed: Uint8Array,
  { table, digest, name }: { readonly table: ChunkedTable; readonly digest: string; readonly name: string },
): Uint8Array {
  const measured = sha256Hex(packed);
  if (measured !== digest) {
    throw new OsdeployError("digest-mismatch", `Cannot use the layer's ${name}: it measures to sha256:${measured}`);
  }
  const decoder = openDecoder("zstd");
  try {
    // One byte more than it should be: so a longer one shows, and costs no memory.
    const unpacked = new Uint8Array(table.unpackedBytes + 1);
    const { consumed, produced } = decoder.decode(packed, unpacked);
    if (consumed !== packed.length || produced !== table.unpackedBytes) {
      throw new OsdeployError(
        "bad-format",
        `Cannot use the layer's ${name}: it is not ${table.unpackedBytes} bytes long`,
      );
    }
    decoder.finish();
    return unpacked.subarray(0, produced);
  } finally {
    decoder.close();
  }
}
