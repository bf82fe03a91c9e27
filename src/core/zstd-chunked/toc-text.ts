import { type ByteString, compareBytes, inQuotes, toBytes } from "../bytes/byte-string.ts";
import { exactText } from "../bytes/utf8.ts";
import { OsdeployError } from "../errors.ts";
import type { TarTime } from "../tar/tar-number.ts";
import { goJson, goTime } from "./go-text.ts";
import type { OutlineEntry } from "./outline-entry.ts";

/** A part of a file's content, with the zstd frame that it is. */
export interface PackedChunk {
  readonly offsetBytes: number;
  readonly sizeBytes: number;
  /** `sha256:` and hex. */
  readonly digest: string;
  readonly isZeros: boolean;
}

/** The content of a file in the blob. */
export interface PackedContent {
  readonly digest: string;
  readonly endBytes: number;
  readonly chunks: readonly PackedChunk[];
}

/** What the table of contents begins with when there are entries, and when there are none. */
export const tocStart = '{"version":1,"entries":[';
export const emptyTocStart = '{"version":1,"entries":null';

/** The end of the table of contents; `hasEntries` says how it began. */
export function tocEnd(tarSplitDigest: string, hasEntries: boolean): string {
  return `${hasEntries ? "]" : ""},"tarSplitDigest":${goJson(tarSplitDigest)}}`;
}

/**
 * The entry, and those of its further chunks, as Go writes them: keys in this order, and none whose value is zero.
 *
 * @throws OsdeployError `unsupported` for names that are no UTF-8 and times that Go cannot write.
 */
export function tocEntry(entry: OutlineEntry, content: PackedContent | undefined): string {
  const name = textOf(entry.name);
  const [first, ...others] = content?.chunks ?? [];
  const own = object([
    ["type", goJson(entry.type)],
    ["name", goJson(name)],
    ["linkName", text(textOf(entry.linkName))],
    ["mode", number(entry.mode)],
    ["size", number(entry.sizeBytes)],
    ["uid", number(entry.uid)],
    ["gid", number(entry.gid)],
    ["modtime", time(entry.modTime)],
    ["accesstime", time(entry.accessTime)],
    ["changetime", time(entry.changeTime)],
    ["devMajor", number(entry.devMajor)],
    ["devMinor", number(entry.devMinor)],
    ["xattrs", xattrs(entry.xattrs)],
    ["digest", text(content?.digest ?? "")],
    ["offset", number(first?.offsetBytes ?? 0)],
    ["endOffset", number(content?.endBytes ?? 0)],
    // A file of one chunk has no keys of a chunk.
    ...(first === undefined || others.length === 0 ? [] : chunkFields(first, 0)),
  ]);
  let chunkOffset = first?.sizeBytes ?? 0;
  const further = others.map((chunk) => {
    const at = chunkOffset;
    chunkOffset += chunk.sizeBytes;
    const start: readonly Field[] = [
      ["type", '"chunk"'],
      ["name", goJson(name)],
      ["offset", number(chunk.offsetBytes)],
    ];
    return object([...start, ...chunkFields(chunk, at)]);
  });
  return [own, ...further].join(",");
}

/** A key and its value as JSON; undefined for a value that is left out. */
type Field = readonly [key: string, value: string | undefined];

function chunkFields(chunk: PackedChunk, chunkOffset: number): readonly Field[] {
  return [
    ["chunkSize", number(chunk.sizeBytes)],
    ["chunkOffset", number(chunkOffset)],
    ["chunkDigest", text(chunk.digest)],
    ["chunkType", text(chunk.isZeros ? "zeros" : "")],
  ];
}

function object(fields: readonly Field[]): string {
  const written = fields.flatMap(([key, value]) => (value === undefined ? [] : `"${key}":${value}`));
  return `{${written.join(",")}}`;
}

function number(value: number): string | undefined {
  return value === 0 ? undefined : String(value);
}

function text(value: string): string | undefined {
  return value === "" ? undefined : goJson(value);
}

/** Go's zero time is the first second of the year 1. */
const zeroTimeSeconds = -62_135_596_800n;

function time(value: TarTime | undefined): string | undefined {
  if (value === undefined || (value.seconds === zeroTimeSeconds && value.nanoseconds === 0)) return undefined;
  const written = goTime(value);
  if (written === undefined) throw unsupported(`the time ${value.seconds} has no year of four digits`);
  return goJson(written);
}

/** Go sorts the keys of a map by their bytes. */
function xattrs(values: ReadonlyMap<ByteString, ByteString>): string | undefined {
  if (values.size === 0) return undefined;
  const sorted = [...values].sort(([a], [b]) => compareBytes(a, b));
  return `{${sorted.map(([key, value]) => `${goJson(textOf(key))}:"${btoa(value)}"`).join(",")}}`;
}

function textOf(name: ByteString): string {
  const found = exactText(toBytes(name));
  if (found === undefined) throw unsupported(`${inQuotes(name)} is no UTF-8`);
  return found;
}

function unsupported(state: string): OsdeployError {
  return new OsdeployError("unsupported", `Cannot write a table of contents: ${state}`);
}
