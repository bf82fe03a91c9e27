import { type ByteString, fromText, toBytes } from "../../src/core/bytes/byte-string.ts";
import { verityDigest } from "../../src/core/digest/fs-verity.ts";
import type { ObjectId, VerityAlgorithm } from "../../src/core/digest/object-id.ts";
import { objectContent } from "../../src/core/splitstream/layer-entries.ts";
import type { Splitstream } from "../../src/core/splitstream/splitstream-reader.ts";
import { SplitstreamWriter } from "../../src/core/splitstream/splitstream-writer.ts";
import { TarScanner, type TarScannerOptions, type TarSink } from "../../src/core/tar/tar-scanner.ts";
import type { FileContent } from "../../src/core/tree/inode.ts";
import type { LayerEntry } from "../../src/core/tree/layer.ts";

/** Objects in memory: id to bytes. */
export type Objects = Map<string, Uint8Array>;

/** What a scanner hands out, one after the other. Whole files and files in pieces look the same. */
export type ScannedPart =
  | { readonly kind: "structure"; readonly bytes: Uint8Array }
  | { readonly kind: "object"; readonly id: ObjectId; readonly bytes: Uint8Array };

/** A layer as read from its tar. */
export interface ScannedLayer {
  readonly entries: readonly LayerEntry[];
  readonly parts: readonly ScannedPart[];
}

/** How {@link scanLayer} feeds the scanner. */
export interface ScanLayerOptions extends TarScannerOptions {
  readonly algorithm?: VerityAlgorithm;
  readonly objects?: Objects;
  /** Bytes that come at once; all of them when left out. */
  readonly chunkBytes?: number;
}

/** Reads a layer's tar as the importer does, with objects kept in `objects`. */
export function scanLayer(tar: Uint8Array, options: ScanLayerOptions = {}): ScannedLayer {
  const entries: LayerEntry[] = [];
  const parts: ScannedPart[] = [];
  const add = (bytes: Uint8Array) => {
    const id = verityDigest(options.algorithm ?? "sha256", bytes);
    options.objects?.set(id, bytes);
    parts.push({ kind: "object", id, bytes });
    return objectContent(id, BigInt(bytes.length));
  };
  let pieces: Uint8Array[] = [];
  const sink: TarSink = {
    structure: (bytes) => parts.push({ kind: "structure", bytes: bytes.slice() }),
    file: (bytes) => add(bytes.slice()),
    beginFile: () => {
      pieces = [];
    },
    filePiece: (bytes) => pieces.push(bytes.slice()),
    endFile: () => add(concat(pieces)),
    entry: (entry) => entries.push(entry),
  };
  feed(new TarScanner(sink, options), tar, options.chunkBytes ?? tar.length);
  return { entries, parts };
}

/** Gives `tar` to `scanner` in chunks, keeping what it leaves, and finishes it. */
export function feed(scanner: TarScanner, tar: Uint8Array, chunkBytes: number): void {
  let start = 0;
  for (let end = 0; end < tar.length; ) {
    end = Math.min(tar.length, end + chunkBytes);
    start += scanner.scan(tar, start, end);
  }
  scanner.finish();
}

/** The bytes of `parts` one after the other: the tar they came from. */
export function joinParts(parts: readonly ScannedPart[]): Uint8Array {
  return concat(parts.map((part) => part.bytes));
}

/** A splitstream of `scanned`, of sha256 objects, with sections that are not compressed. */
export function writeLayerStream(scanned: ScannedLayer): Uint8Array {
  const writer = new SplitstreamWriter("sha256", "layer");
  for (const part of scanned.parts) {
    if (part.kind === "structure") writer.addInline(part.bytes);
    else writer.addObject(part.id, BigInt(part.bytes.length));
  }
  return writer.finish((bytes) => bytes);
}

/** The file that `stream` stands for. */
export function rebuildFile(stream: Splitstream, objects: Objects): Uint8Array {
  const pieces = [...stream.records()].map((record) =>
    record.kind === "inline" ? record.bytes : (objects.get(record.id) ?? new Uint8Array(0)),
  );
  return concat(pieces);
}

/** Reads contents for labels: inline ones, and objects from `objects`. */
export function fileReader(objects: Objects): (content: FileContent) => Uint8Array {
  return (content) => {
    if (content.kind === "inline") return toBytes(content.bytes);
    const bytes = objects.get(content.digest ?? "");
    if (bytes === undefined) throw new Error(`there is no object ${content.digest}`);
    return bytes;
  };
}

export function concat(pieces: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(pieces));
}

/** Shorthand for byte strings in tests. */
export function b(text: string): ByteString {
  return fromText(text);
}
