import { type ByteString, fromBytes, inQuotes } from "../bytes/byte-string.ts";
import { OsdeployError } from "../errors.ts";
import { nextRecord, xattrPrefix } from "../tar/pax.ts";
import { headerFields, type TarHeader } from "../tar/tar-header.ts";
import { checkRange, readDecimal, readNumber, readTime, type TarTime } from "../tar/tar-number.ts";

/** What a table of contents calls the entries of a tar. */
export type OutlineType = "reg" | "dir" | "symlink" | "hardlink" | "char" | "block" | "fifo";

/** An entry of a tar as its headers have it; nothing is cleaned. */
export interface OutlineEntry {
  readonly type: OutlineType;
  readonly name: ByteString;
  readonly linkName: ByteString;
  readonly mode: number;
  readonly sizeBytes: number;
  readonly uid: number;
  readonly gid: number;
  readonly modTime: TarTime;
  readonly accessTime: TarTime | undefined;
  readonly changeTime: TarTime | undefined;
  readonly devMajor: number;
  readonly devMinor: number;
  readonly xattrs: ReadonlyMap<ByteString, ByteString>;
}

/** What extension headers say of the entry that follows them. */
export interface OutlineExtensions {
  readonly records: ReadonlyMap<ByteString, ByteString>;
  readonly longName: ByteString | undefined;
  readonly longLink: ByteString | undefined;
}

const types: Readonly<Record<string, OutlineType>> = {
  "\0": "reg",
  "0": "reg",
  "1": "hardlink",
  "2": "symlink",
  "3": "char",
  "4": "block",
  "5": "dir",
  "6": "fifo",
};

const largest = Number.MAX_SAFE_INTEGER;

/**
 * The entry that the header in `block` stands for, as Go's reader has it: names as they stand, the mode with whatever bits
 * its writer put there.
 *
 * @throws OsdeployError `unsupported` for what a table of contents cannot say, or two readers take for two things.
 */
export function outlineEntry(
  block: Uint8Array,
  header: TarHeader,
  { records, longName, longLink }: OutlineExtensions,
): OutlineEntry {
  checkDialect(block, header);
  const record = (key: string): ByteString | undefined => records.get(key as ByteString) || undefined;
  const name = either(longName, record("path")) ?? header.name;
  const type = typeOf(header, name);
  const sizeBytes = numberOf(record("size"), "size") ?? header.sizeBytes;
  if (type !== "reg" && sizeBytes > 0) throw refuse(`${inQuotes(name)} is no file and has a size`);
  const hasDevice = header.format !== "v7";
  return {
    type,
    name,
    linkName: either(longLink, record("linkpath")) ?? header.linkName,
    mode: field(block, headerFields.mode),
    sizeBytes,
    uid: numberOf(record("uid"), "uid") ?? header.uid,
    gid: numberOf(record("gid"), "gid") ?? header.gid,
    modTime: timeOf(record("mtime")) ?? { seconds: header.mtimeSeconds, nanoseconds: 0 },
    accessTime: timeOf(record("atime")),
    changeTime: timeOf(record("ctime")),
    devMajor: hasDevice ? field(block, headerFields.major) : 0,
    devMinor: hasDevice ? field(block, headerFields.minor) : 0,
    xattrs: xattrsOf(records),
  };
}

/**
 * The records of one PAX header. Of a repeated key the last counts.
 *
 * @throws OsdeployError `bad-format` when they are not as POSIX has them; `unsupported` when they describe a sparse file.
 */
export function readRecords(bytes: Uint8Array): Map<ByteString, ByteString> {
  const records = new Map<ByteString, ByteString>();
  for (let at = 0; at < bytes.length; ) {
    const record = nextRecord(bytes, at);
    const key = fromBytes(bytes, record.key, record.equals);
    const value = fromBytes(bytes, record.equals + 1, record.end - 1);
    if (key.includes("\0") || (value.includes("\0") && !key.startsWith(xattrPrefix))) {
      throw refuse("a PAX header holds a NUL byte");
    }
    if (key.startsWith("GNU.sparse.")) throw refuse("it has a sparse file");
    records.set(key, value);
    at = record.end;
  }
  return records;
}

/** Old dialects keep times, or a shorter prefix, where POSIX has its prefix; readers differ on them. */
function checkDialect(block: Uint8Array, { format }: TarHeader): void {
  if (format === "gnu" && (block[345] !== 0 || block[357] !== 0)) throw refuse("it has headers of an incremental dump");
  if (format === "ustar" && fromBytes(block, 508, 512) === "tar\0") throw refuse("it has headers of star");
}

function typeOf({ type, format }: TarHeader, name: ByteString): OutlineType {
  if (name === "") throw refuse("an entry has no name");
  const letter = String.fromCharCode(type);
  // An old directory is a file with a slash. Go knows it by the letter, and osdeploy by the header without magic.
  const isOldDirectory = letter === "\0" && name.endsWith("/");
  const isOurDirectory = format === "v7" && (letter === "\0" || letter === "0") && name.endsWith("/");
  if (isOldDirectory !== isOurDirectory) throw refuse(`${inQuotes(name)} is a file or a directory`);
  if (isOldDirectory) return "dir";
  const found = types[letter];
  if (found === undefined) throw refuse(`${inQuotes(name)} is of the type ${JSON.stringify(letter)}`);
  return found;
}

/** GNU's long names and PAX records say the same or nothing: which of them wins depends on the reader. */
function either(long: ByteString | undefined, record: ByteString | undefined): ByteString | undefined {
  if (long !== undefined && record !== undefined && long !== record) throw refuse(`${inQuotes(record)} has two names`);
  return long ?? record;
}

function numberOf(text: ByteString | undefined, what: string): number | undefined {
  return text === undefined ? undefined : checkRange(readDecimal(text, what), { min: 0, max: largest }, what);
}

function timeOf(text: ByteString | undefined): TarTime | undefined {
  return text === undefined ? undefined : readTime(text);
}

function field(block: Uint8Array, place: Parameters<typeof readNumber>[1]): number {
  return checkRange(readNumber(block, place), { min: 0, max: largest }, place.what);
}

function xattrsOf(records: ReadonlyMap<ByteString, ByteString>): ReadonlyMap<ByteString, ByteString> {
  const found = [...records].filter(([key]) => key.startsWith(xattrPrefix));
  return new Map(found.map(([key, value]) => [key.slice(xattrPrefix.length) as ByteString, value]));
}

/** Says of a tar that no table of contents is written for it. */
export function refuse(state: string): OsdeployError {
  return new OsdeployError("unsupported", `Cannot outline tar: ${state}`);
}
