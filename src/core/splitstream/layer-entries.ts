import { joinBytes } from "../bytes/join-bytes.ts";
import type { ObjectId } from "../digest/object-id.ts";
import { OsdeployError } from "../errors.ts";
import type { TarLimits } from "../tar/tar-limits.ts";
import { TarScanner, type TarSink } from "../tar/tar-scanner.ts";
import type { ExternalContent } from "../tree/inode.ts";
import type { LayerEntry } from "../tree/layer.ts";
import { ObjectContent } from "../tree/object-content.ts";
import type { Splitstream } from "./splitstream-reader.ts";

/** The content that object `id` holds. */
export function objectContent(id: ObjectId, sizeBytes: bigint): ExternalContent {
  return new ObjectContent(id, sizeBytes);
}

/**
 * The entries of the layer that `splitstream` keeps, without reading an object.
 *
 * @throws OsdeployError `damaged` when files and object references do not fit together; what {@link TarScanner} and the
 * records throw.
 */
export function readLayerEntries(splitstream: Splitstream, limits?: TarLimits): readonly LayerEntry[] {
  const entries: LayerEntry[] = [];
  const scanner = new TarScanner(entrySink(entries), {
    maxWholeFileBytes: Number.MAX_SAFE_INTEGER,
    ...(limits === undefined ? {} : { limits }),
  });
  for (const { inline, object } of readRuns(splitstream)) {
    const used = scanner.scan(inline);
    if (object === undefined) continue;
    const sizeBytes = scanner.awaitedFileBytes;
    if (sizeBytes === undefined || used < inline.length) {
      throw new OsdeployError("damaged", `Cannot read layer: object ${object} stands where no file's content is`);
    }
    scanner.supplyFile(objectContent(object, BigInt(sizeBytes)));
  }
  scanner.finish();
  return entries;
}

function entrySink(entries: LayerEntry[]): TarSink {
  const refuse = (): never => {
    throw new OsdeployError("damaged", "Cannot read layer: a file of more than 64 bytes is no object");
  };
  return {
    structure: () => {},
    file: refuse,
    beginFile: refuse,
    filePiece: refuse,
    endFile: refuse,
    entry: (entry) => {
      entries.push(entry);
    },
  };
}

interface Run {
  readonly inline: Uint8Array;
  /** What follows the inline bytes; undefined at the end. */
  readonly object: ObjectId | undefined;
}

/** Inline records up to the next object, as one: other writers may cut them anywhere. Copies only where there are several. */
function* readRuns(splitstream: Splitstream): IterableIterator<Run> {
  let pieces: Uint8Array[] = [];
  for (const record of splitstream.records()) {
    if (record.kind === "inline") {
      pieces.push(record.bytes);
    } else {
      yield { inline: join(pieces), object: record.id };
      pieces = [];
    }
  }
  yield { inline: join(pieces), object: undefined };
}

function join(pieces: readonly Uint8Array[]): Uint8Array {
  const [first] = pieces;
  return first !== undefined && pieces.length === 1 ? first : joinBytes(pieces);
}
