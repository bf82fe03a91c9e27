import { type ByteString, fromBytes, toText } from "../bytes/byte-string.ts";
import { toHex } from "../bytes/hex.ts";
import { digestLength, type ObjectId, type VerityAlgorithm } from "../digest/object-id.ts";
import { OsdeployError } from "../errors.ts";
import {
  algorithmBytes,
  blockSizeLog,
  contentTypes,
  currentLayout,
  formerLayout,
  type HeaderLayout,
  headerSize,
  infoSize,
  magic,
  type SplitstreamContent,
} from "./splitstream-format.ts";

/** Unpacks all zstd frames in `bytes`; throws `limit-exceeded` when that gives more than `limitBytes`. */
export type Decompress = (bytes: Uint8Array, limitBytes: number) => Uint8Array;

export interface SplitstreamReaderOptions {
  readonly decompress: Decompress;
  /** The most that the stream section may unpack to; 1.25 GiB when left out, above what a writer can make. */
  readonly maxStreamBytes?: number;
}

/** A piece of the file that a splitstream stands for. */
export type SplitstreamRecord =
  | { readonly kind: "inline"; readonly bytes: Uint8Array }
  | { readonly kind: "object"; readonly id: ObjectId };

/** A splitstream whose frame was checked. */
export interface Splitstream {
  readonly algorithm: VerityAlgorithm;
  readonly content: SplitstreamContent;
  /** Bytes in the file that the records make up, as the header claims. */
  readonly sizeBytes: bigint;
  readonly streamRefs: readonly ObjectId[];
  /** All objects that the records use. */
  readonly objectRefs: readonly ObjectId[];
  readonly namedRefs: ReadonlyMap<string, ObjectId>;
  /**
   * The records in order; unpacks the stream section at each call. Inline bytes are views of the unpacked section.
   *
   * @throws OsdeployError `damaged`; and what `decompress` throws.
   */
  records(): IterableIterator<SplitstreamRecord>;
}

/** Far above any manifest with its layers. */
const maxNamedRefsBytes = 16 * 1024 * 1024;
const defaultMaxStreamBytes = 1280 * 1024 * 1024;

/**
 * Reads the frame of a splitstream, in today's or the former order of header fields.
 *
 * Every range is checked, so that damage shows as an error and never as other content. That the file is what its name
 * says is for the caller to check.
 *
 * @throws OsdeployError `damaged` when it is no whole splitstream; and what `decompress` throws.
 */
export function readSplitstream(file: Uint8Array, options: SplitstreamReaderOptions): Splitstream {
  const layout = findLayout(file);
  const algorithm = readAlgorithm(file, layout);
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const infoStart = readRange(view, layout.info, "info");
  if (infoStart.end - infoStart.start < infoSize) throw damaged("its info is too short");
  const range = (index: number, what: string) => readRange(view, infoStart.start + 16 * index, what);
  const section = ({ start, end }: Range) => file.subarray(start, end);
  const streamRefs = readDigests(section(range(0, "stream refs")), algorithm);
  const objectRefs = readDigests(section(range(1, "object refs")), algorithm);
  const stream = section(range(2, "stream"));
  const names = unpack(section(range(3, "named refs")), options.decompress, maxNamedRefsBytes);
  const unpackStream = () => unpack(stream, options.decompress, options.maxStreamBytes ?? defaultMaxStreamBytes);
  return {
    algorithm,
    content: readContent(fromBytes(file, infoStart.start + 64, infoStart.start + 72)),
    sizeBytes: view.getBigUint64(infoStart.start + 72, true),
    streamRefs,
    objectRefs,
    namedRefs: readNamedRefs(names, streamRefs),
    records: () => readRecords(unpackStream(), objectRefs),
  };
}

function findLayout(file: Uint8Array): HeaderLayout {
  if (file.length < headerSize) throw damaged("it is too short");
  for (const layout of [currentLayout, formerLayout]) {
    if (fromBytes(file, layout.magic, layout.magic + magic.length) === magic) return layout;
  }
  throw damaged("it does not start like one");
}

function readAlgorithm(file: Uint8Array, layout: HeaderLayout): VerityAlgorithm {
  const version = file[layout.version];
  if (version !== 0) throw damaged(`its version ${version} is unknown`);
  if (file[layout.blockSizeLog] !== blockSizeLog) throw damaged("its fs-verity blocks are not of 4096 bytes");
  const byte = file[layout.algorithm];
  if (byte === algorithmBytes.sha256) return "sha256";
  if (byte === algorithmBytes.sha512) return "sha512";
  throw damaged(`its digest algorithm ${byte} is unknown`);
}

interface Range {
  readonly start: number;
  readonly end: number;
}

function readRange(view: DataView, offset: number, what: string): Range {
  const start = view.getBigUint64(offset, true);
  const end = view.getBigUint64(offset + 8, true);
  if (start > end || end > BigInt(view.byteLength)) throw damaged(`its ${what} are not inside the file`);
  return { start: Number(start), end: Number(end) };
}

function readDigests(bytes: Uint8Array, algorithm: VerityAlgorithm): readonly ObjectId[] {
  const length = digestLength(algorithm);
  if (bytes.length % length !== 0) throw damaged("its refs are no whole digests");
  // All at once, and then cut: a layer has tens of thousands, and each conversion has its price.
  const hex = toHex(bytes);
  const ids: ObjectId[] = [];
  for (let at = 0; at < hex.length; at += 2 * length) ids.push(hex.slice(at, at + 2 * length) as ObjectId);
  return ids;
}

function readContent(letters: ByteString): SplitstreamContent {
  for (const [content, type] of Object.entries(contentTypes)) {
    if (type === letters) return content as SplitstreamContent;
  }
  return "other";
}

function unpack(section: Uint8Array, decompress: Decompress, limitBytes: number): Uint8Array {
  return section.length === 0 ? section : decompress(section, limitBytes);
}

function readNamedRefs(bytes: Uint8Array, streamRefs: readonly ObjectId[]): ReadonlyMap<string, ObjectId> {
  const names = new Map<string, ObjectId>();
  let at = 0;
  while (at < bytes.length) {
    const end = bytes.indexOf(0, at);
    const parts = end < 0 ? null : /^([0-9]{1,9}):(.*)$/s.exec(fromBytes(bytes, at, end));
    const id = streamRefs[Number(parts?.[1] ?? -1)];
    if (parts === null || id === undefined) throw damaged(`its named ref at byte ${at} is not valid`);
    names.set(toText(parts[2] as ByteString), id);
    at = end + 1;
  }
  return names;
}

function* readRecords(bytes: Uint8Array, objectRefs: readonly ObjectId[]): IterableIterator<SplitstreamRecord> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  while (at < bytes.length) {
    if (bytes.length - at < 8) throw damaged("its stream ends within a record");
    const head = view.getBigInt64(at, true);
    at += 8;
    if (head >= 0n) {
      const id = head < objectRefs.length ? objectRefs[Number(head)] : undefined;
      if (id === undefined) throw damaged(`its stream names object ${head} of ${objectRefs.length}`);
      yield { kind: "object", id };
    } else {
      if (-head > bytes.length - at) throw damaged("its stream ends within inline bytes");
      const end = at + Number(-head);
      yield { kind: "inline", bytes: bytes.subarray(at, end) };
      at = end;
    }
  }
}

function damaged(state: string): OsdeployError {
  return new OsdeployError("damaged", `Cannot read splitstream: ${state}`);
}
