import { type ByteString, fromBytes, inQuotes, toText, untilNul } from "../bytes/byte-string.ts";
import { OsdeployError } from "../errors.ts";
import { maxOwner } from "./tar-header.ts";
import type { TarLimits } from "./tar-limits.ts";
import { checkRange, readDecimal, readTime, type TarTime } from "./tar-number.ts";

/** What extension headers say about the entry that follows them; what they leave out, its own header says. */
export interface Extension {
  /** From PAX records, which win over GNU's long names in whichever order they come. */
  path?: ByteString | undefined;
  linkPath?: ByteString | undefined;
  /** From GNU's `L` and `K`. */
  longName?: ByteString;
  longLink?: ByteString;
  sizeBytes?: number | undefined;
  uid?: number | undefined;
  gid?: number | undefined;
  mtime?: TarTime | undefined;
  xattrs?: Map<ByteString, ByteString>;
}

/** Before the names of extended attributes in the keys of PAX records. */
export const xattrPrefix = "SCHILY.xattr.";
/** XATTR_NAME_MAX of Linux. */
const maxXattrKey = 255;

/** Whether a header of this type says something of the entry behind it: a PAX header, GNU's long name, or its long link. */
export function isExtension(type: number): boolean {
  return type === paxType || type === longNameType || type === 0x4b;
}

export const paxType = 0x78;
export const longNameType = 0x4c;
/** A PAX header for all entries behind it. */
export const globalType = 0x67;

/**
 * Adds what the extension header of this type, with these bytes as its content, says to `extension`.
 *
 * @throws OsdeployError as {@link readPax}; `bad-format` for a long name that goes on behind a NUL.
 */
export function readExtension(type: number, bytes: Uint8Array, extension: Extension, limits: TarLimits): void {
  if (type === paxType) readPax(bytes, extension, limits);
  else if (type === longNameType) extension.longName = readLong(bytes, "name");
  else extension.longLink = readLong(bytes, "link target");
}

/** What one NUL or more end. Bytes behind them are a part of the path to some readers, and nothing to others. */
function readLong(bytes: Uint8Array, what: string): ByteString {
  const text = fromBytes(bytes);
  const path = untilNul(text);
  for (let at = path.length; at < bytes.length; at++) {
    if (bytes[at] === 0) continue;
    throw new OsdeployError("bad-format", `Cannot read tar entry ${inQuotes(path)}: its long ${what} holds a NUL byte`);
  }
  return path;
}

/**
 * Adds the records of one PAX header to `extension`. Of a repeated key the last counts; an empty value takes back what
 * the key said before, as POSIX has it, but for extended attributes, where empty is a value.
 *
 * Records are cut by their lengths, never at line ends: values are bytes and may hold anything. Keys that say nothing
 * about the tree (atime, comment, `LIBARCHIVE.*` …) are skipped.
 *
 * @throws OsdeployError `bad-format`; `unsupported` for sparse files; `limit-exceeded` for overlong attributes.
 * @see https://pubs.opengroup.org/onlinepubs/9799919799/utilities/pax.html
 */
export function readPax(bytes: Uint8Array, extension: Extension, limits: TarLimits): void {
  let at = 0;
  while (at < bytes.length) {
    const record = nextRecord(bytes, at);
    applyRecord(fromBytes(bytes, record.key, record.equals), record, { bytes, extension, limits });
    at = record.end;
  }
}

/** Where a record stands in its header: the key up to the sign, the value behind that. */
export interface RecordRange {
  readonly key: number;
  readonly equals: number;
  /** After the line end. */
  readonly end: number;
}

/**
 * The record `LENGTH KEY=VALUE\n`, where LENGTH counts all of it, that begins at the byte `start`.
 *
 * @throws OsdeployError `bad-format` when there is none.
 */
export function nextRecord(bytes: Uint8Array, start: number): RecordRange {
  let at = start;
  let length = 0;
  // Ten digits are more than any header has.
  for (; at < Math.min(bytes.length, start + 10) && isDigit(bytes[at] as number); at++) {
    length = length * 10 + ((bytes[at] as number) - 0x30);
  }
  const end = start + length;
  if (at === start || bytes[at] !== 0x20 || end > bytes.length || bytes[end - 1] !== 0x0a) {
    throw new OsdeployError("bad-format", `Cannot read PAX header: no record at its byte ${start}`);
  }
  const equals = bytes.indexOf(0x3d, at + 1);
  if (equals <= at + 1 || equals >= end) {
    throw new OsdeployError("bad-format", `Cannot read PAX header: the record at its byte ${start} has no key`);
  }
  return { key: at + 1, equals, end };
}

function isDigit(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x39;
}

function applyRecord(
  key: ByteString,
  record: RecordRange,
  context: { readonly bytes: Uint8Array; readonly extension: Extension; readonly limits: TarLimits },
): void {
  const { extension } = context;
  const value = () => fromBytes(context.bytes, record.equals + 1, record.end - 1);
  switch (key as string) {
    case "path":
      extension.path = value() || undefined;
      return;
    case "linkpath":
      extension.linkPath = value() || undefined;
      return;
    case "size":
      extension.sizeBytes = readOptional(value(), { max: Number.MAX_SAFE_INTEGER, what: "size" });
      return;
    case "uid":
      extension.uid = readOptional(value(), { max: maxOwner, what: "uid" });
      return;
    case "gid":
      extension.gid = readOptional(value(), { max: maxOwner, what: "gid" });
      return;
    case "mtime":
      extension.mtime = value() === "" ? undefined : readTime(value());
      return;
    default:
      if (key.startsWith(xattrPrefix)) addXattr(key.slice(xattrPrefix.length) as ByteString, value(), context);
      if (key.startsWith("GNU.sparse.")) throw sparseFile();
  }
}

function readOptional(value: ByteString, field: { max: number; what: string }): number | undefined {
  if (value === "") return undefined;
  return checkRange(readDecimal(value, field.what), { min: 0, max: field.max }, field.what);
}

function addXattr(
  key: ByteString,
  value: ByteString,
  { extension, limits }: { readonly extension: Extension; readonly limits: TarLimits },
): void {
  if (key === "" || key.length > maxXattrKey || key.includes("\0")) {
    const shown = inQuotes(key);
    throw new OsdeployError("bad-format", `Cannot read PAX header: ${shown} is no name of an extended attribute`);
  }
  if (value.length > limits.xattrValueBytes) {
    throw new OsdeployError(
      "limit-exceeded",
      `Cannot read PAX header: attribute ${toText(key)} has ${value.length} bytes, ${limits.xattrValueBytes} are allowed`,
    );
  }
  extension.xattrs ??= new Map();
  extension.xattrs.set(key, value);
}

/** Refuses a sparse file: stored as it stands in the tar it would be another file. */
export function sparseFile(): OsdeployError {
  return new OsdeployError(
    "unsupported",
    "Cannot read tar entry: it is a sparse file. Build the layer without --sparse",
  );
}
