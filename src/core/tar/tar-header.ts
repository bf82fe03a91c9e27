import { type ByteString, fromBytes, inQuotes } from "../bytes/byte-string.ts";
import { OsdeployError } from "../errors.ts";
import { checkRange, checkSeconds, type NumberField, readNumber } from "./tar-number.ts";

/** Bytes in a header; all else in a tar is padded to a multiple of it. */
export const blockSize = 512;

/** How many zeros follow content of `sizeBytes`, so that the next header starts at a block. */
export function paddingBytes(sizeBytes: number): number {
  return (blockSize - (sizeBytes % blockSize)) % blockSize;
}

/** One header block, decoded but not interpreted. */
export interface TarHeader {
  /** Which of the header's dialects: `v7` has no magic, so its letters for extensions mean nothing. */
  readonly format: "v7" | "ustar" | "gnu";
  /** The type letter as a byte; NUL is an old regular file. */
  readonly type: number;
  readonly name: ByteString;
  readonly linkName: ByteString;
  /** The low twelve bits; file type bits, which some writers add, are dropped. */
  readonly permissions: number;
  readonly uid: number;
  readonly gid: number;
  readonly sizeBytes: number;
  readonly mtimeSeconds: bigint;
  readonly major: number;
  readonly minor: number;
}

/** Where the numbers of a header stand. */
export const headerFields = {
  mode: { offset: 100, length: 8, what: "mode" },
  uid: { offset: 108, length: 8, what: "uid" },
  gid: { offset: 116, length: 8, what: "gid" },
  size: { offset: 124, length: 12, what: "size" },
  mtime: { offset: 136, length: 12, what: "mtime" },
  checksum: { offset: 148, length: 8, what: "checksum" },
  major: { offset: 329, length: 8, what: "device major" },
  minor: { offset: 337, length: 8, what: "device minor" },
} as const satisfies Record<string, NumberField>;

/** The largest uid and gid. */
export const maxOwner = 0xffff_ffff;
/** Where JavaScript's numbers end; the limit on file sizes lies below. */
const maxSize = Number.MAX_SAFE_INTEGER;

/**
 * The header in `block`, which has at least 512 bytes; undefined when all of them are zero.
 *
 * @throws OsdeployError `bad-format` when its checksum or a number is wrong.
 * @see https://pubs.opengroup.org/onlinepubs/9799919799/utilities/pax.html
 */
export function readHeader(block: Uint8Array): TarHeader | undefined {
  const sum = sumOf(block);
  if (sum === 0) return undefined;
  checkSum(block, sum);
  const format = readFormat(block);
  const hasDevice = format !== "v7" && (block[156] === 0x33 || block[156] === 0x34);
  return {
    format,
    type: block[156] as number,
    name: readName(block, format),
    linkName: readText(block, 157, 100),
    permissions: readPermissions(block),
    uid: readRange(block, headerFields.uid, maxOwner),
    gid: readRange(block, headerFields.gid, maxOwner),
    sizeBytes: readRange(block, headerFields.size, maxSize),
    mtimeSeconds: checkSeconds(BigInt(readNumber(block, headerFields.mtime))),
    major: hasDevice ? readRange(block, headerFields.major, 0xfff) : 0,
    minor: hasDevice ? readRange(block, headerFields.minor, 0xf_ffff) : 0,
  };
}

/** The sum of all bytes: four at a time, in two lanes of 16 bits, which 256 bytes each cannot overflow. */
function sumOf(block: Uint8Array): number {
  const view = new DataView(block.buffer, block.byteOffset, blockSize);
  let lanes = 0;
  for (let at = 0; at < blockSize; at += 4) {
    const four = view.getUint32(at);
    lanes = (lanes + (four & 0xff00ff) + ((four >>> 8) & 0xff00ff)) | 0;
  }
  return (lanes & 0xffff) + (lanes >>> 16);
}

function readPermissions(block: Uint8Array): number {
  const mode = readNumber(block, headerFields.mode);
  return typeof mode === "number" ? mode & 0o7777 : Number(BigInt.asUintN(12, mode));
}

function readRange(block: Uint8Array, field: NumberField, max: number): number {
  return checkRange(readNumber(block, field), { min: 0, max }, field.what);
}

/** `sum` is of all bytes as they stand; the rule counts the checksum's own eight as spaces. */
function checkSum(block: Uint8Array, sum: number): void {
  let unsigned = sum;
  for (let i = 0; i < headerFields.checksum.length; i++) {
    unsigned += 0x20 - (block[headerFields.checksum.offset + i] as number);
  }
  const stated = readNumber(block, headerFields.checksum);
  if (stated === unsigned) return;
  // Some old writers summed signed bytes. GNU tar and libarchive take both sums.
  let signed = unsigned;
  for (let i = 0; i < blockSize; i++) if ((block[i] as number) >= 0x80 && !inChecksum(i)) signed -= 0x100;
  if (stated !== signed) {
    throw new OsdeployError("bad-format", `Cannot read tar header: its checksum is ${unsigned}, not ${stated}`);
  }
}

function inChecksum(offset: number): boolean {
  return offset >= headerFields.checksum.offset && offset < headerFields.checksum.offset + headerFields.checksum.length;
}

function readFormat(block: Uint8Array): TarHeader["format"] {
  const magic = fromBytes(block, 257, 265);
  if (magic.startsWith("ustar\0")) return "ustar";
  return magic === "ustar  \0" ? "gnu" : "v7";
}

/** Only POSIX headers have a prefix; GNU's keep times there. */
function readName(block: Uint8Array, format: TarHeader["format"]): ByteString {
  const name = readText(block, 0, 100);
  if (format === "gnu" && block[345] !== 0) checkTimes(block, name);
  if (format !== "ustar" || block[345] === 0) return name;
  const prefix = readText(block, 345, 155);
  if (prefix.length > starPrefixBytes && fromBytes(block, 508, 512) === "tar\0") {
    throw new OsdeployError("bad-format", `Cannot read tar entry ${inQuotes(name)}: its star header has a long prefix`);
  }
  return `${prefix}/${name}` as ByteString;
}

/** Headers of star end in a magic of their own and have times behind a shorter prefix, for those readers who know of it. */
const starPrefixBytes = 131;

const timeFields = [345, 357] as const;

/** Old writers put a prefix there all the same, and there are readers that look for it where the bytes are no times. */
function checkTimes(block: Uint8Array, name: ByteString): void {
  for (const offset of timeFields) {
    const isBinary = (block[offset] as number) >= 0x80;
    if (isBinary || /^ *[0-7]*[ \0]*$/.test(fromBytes(block, offset, offset + 12))) continue;
    const shown = inQuotes(name);
    throw new OsdeployError("bad-format", `Cannot read tar entry ${shown}: its GNU header has a prefix, or bad times`);
  }
}

/** The bytes up to the first NUL, or the whole field: names of full length have no NUL. */
function readText(block: Uint8Array, offset: number, length: number): ByteString {
  let end = offset;
  while (end < offset + length && block[end] !== 0) end++;
  return fromBytes(block, offset, end);
}
