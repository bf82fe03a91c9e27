import { type ByteString, compareBytes, toText } from "../bytes/byte-string.ts";
import type { ByteWriter } from "../bytes/byte-writer.ts";
import { OsdeployError } from "../errors.ts";
import { xattrEntrySize, xattrPrefixes } from "./format.ts";
import { xxh32 } from "./xxh32.ts";

/** Where the name filter's hash starts, as the kernel has it; another start makes it look for absent names. */
const filterSeed = 0x25bbe08f;

const maxValueLength = 65535;

/** An xattr key as the format takes it apart. */
export interface XattrKey {
  readonly key: ByteString;
  readonly index: number;
  readonly name: ByteString;
  /** The bit that a name filter clears for it. */
  readonly filterBit: number;
  /** By {@link XattrPair.source}. */
  readonly pairs: Map<string, XattrPair>;
}

/** How the value in the image comes from a pair's source. */
export type ValueForm =
  /** It is the source. */
  | "bytes"
  /** The source is a path in the object directory; the value has a slash before it. */
  | "redirect"
  /** The source is a digest in hex; the value is what overlayfs compares with the file's measurement. */
  | "metacopy";

/** A key with a value; one for all inodes that have it. */
export interface XattrPair {
  readonly key: XattrKey;
  readonly source: string;
  readonly form: ValueForm;
  readonly valueLength: number;
  readonly entrySize: number;
  /** How many inodes have it; of overlayfs's own only whether they are several. */
  uses: number;
  /** Where it is in the shared table, in bytes; -1 when it is not. */
  sharedOffset: number;
}

/**
 * Takes `key` apart.
 *
 * @throws OsdeployError `bad-format` when it cannot be one.
 */
export function newKey(key: ByteString): XattrKey {
  const prefix = xattrPrefixes.find((candidate) => key.startsWith(candidate.prefix));
  const index = prefix?.index ?? 0;
  const name = key.slice(prefix?.prefix.length ?? 0) as ByteString;
  if (key.length === 0 || name.length > 255 || key.includes("\0")) {
    const shown = toText(key.slice(0, 300) as ByteString);
    throw new OsdeployError("bad-format", `Cannot write a root image: "${shown}" cannot be an xattr's key`);
  }
  const filterBit = xxh32(name, (filterSeed + index) >>> 0) & 31;
  return { key, index, name, filterBit, pairs: new Map<string, XattrPair>() };
}

/**
 * A pair that no inode has yet.
 *
 * @throws OsdeployError `limit-exceeded` when the value is too long.
 */
export function newPair(key: XattrKey, source: string, form: ValueForm): XattrPair {
  const valueLength = lengthOfValue(source, form);
  if (valueLength > maxValueLength) {
    throw new OsdeployError("limit-exceeded", `Cannot write a root image: an xattr value has ${valueLength} bytes`);
  }
  return { key, source, form, valueLength, entrySize: entrySize(key, valueLength), uses: 0, sharedOffset: -1 };
}

/** Bytes that a key with a value takes in an area or in the shared table. */
export function entrySize(key: XattrKey, valueLength: number): number {
  return (xattrEntrySize + key.name.length + valueLength + 3) & ~3;
}

/** The order of the xattrs of an inode. */
export function compareKeys(a: XattrPair, b: XattrPair): number {
  return compareBytes(a.key.key, b.key.key);
}

/**
 * The order of the shared table: key, then length of the value, then value, each descending. Values of one key and length
 * are in the order of their sources, also those that are written in hex.
 */
export function compareDescending(a: XattrPair, b: XattrPair): number {
  return (
    compareKeys(b, a) || b.valueLength - a.valueLength || compareBytes(b.source as ByteString, a.source as ByteString)
  );
}

/** Bytes of the value in the image. */
export function lengthOfValue(source: string, form: ValueForm): number {
  if (form === "bytes") return source.length;
  if (form === "redirect") return source.length + 1;
  return source === "" ? 0 : metacopyHeaderSize + source.length / 2;
}

/** Bytes before the digest in the value of a metacopy. */
export const metacopyHeaderSize = 4;

/**
 * What stands before the digest: version, length, flags and fs-verity's number of the algorithm.
 *
 * @see https://docs.kernel.org/filesystems/overlayfs.html#fs-verity-support
 */
function metacopyHeader(digest: string): ByteString {
  return (digest.length === 64 ? "\x00\x24\x00\x01" : "\x00\x44\x00\x02") as ByteString;
}

/** Writes a pair as it stands in an area or in the shared table. */
export function writeEntry(writer: ByteWriter, pair: XattrPair): void {
  const { source, form } = pair;
  const end = writeEntryHead(writer, pair.key, pair.valueLength);
  if (form === "redirect") writer.u8(slash);
  if (form === "metacopy") writeMetacopy(writer, source);
  else writer.string(source as ByteString);
  writer.offset = end;
}

/** Writes all of an entry but its value, and returns where it ends. The padding up to a multiple of 4 is zero already. */
export function writeEntryHead(writer: ByteWriter, key: XattrKey, valueLength: number): number {
  const end = writer.offset + entrySize(key, valueLength);
  writer.u8(key.name.length);
  writer.u8(key.index);
  writer.u16(valueLength);
  writer.string(key.name);
  return end;
}

/** What stands before the path of a redirect, as it is from the root of the object directory. */
export const slash = 0x2f;

/** The value that overlayfs compares with what the file measures to; nothing for a file without digest. */
export function writeMetacopy(writer: ByteWriter, digest: string): void {
  if (digest === "") return;
  writer.string(metacopyHeader(digest));
  writer.hex(digest);
}
