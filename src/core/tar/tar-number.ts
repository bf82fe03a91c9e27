import { type ByteString, fromBytes, toText } from "../bytes/byte-string.ts";
import { OsdeployError } from "../errors.ts";

/** Where a number stands in a header, and what it is called in an error. */
export interface NumberField {
  readonly offset: number;
  readonly length: number;
  readonly what: string;
}

/**
 * A numeric header field: octal text, with leading spaces and ended by space, NUL or the field's end; or, when the first
 * bit is set, GNU's base-256 as a two's complement number. Empty is 0. Where a NUL comes first and something behind it,
 * readers differ, and a size could show each of them other files: that is no number.
 *
 * @throws OsdeployError `bad-format` for anything else.
 * @see https://www.gnu.org/software/tar/manual/html_node/Standard.html
 */
export function readNumber(header: Uint8Array, field: NumberField): number | bigint {
  const first = header[field.offset] as number;
  if (first >= 0x80) return readBinary(header, field, first);
  const end = field.offset + field.length;
  let at = field.offset;
  while (at < end && header[at] === 0x20) at++;
  if (header[at] === 0) return readEmpty(header, field, at);
  // At most twelve octal digits: exact in a double.
  let value = 0;
  while (at < end && isOctal(header[at] as number)) value = value * 8 + ((header[at++] as number) - 0x30);
  const after = header[at];
  if (at < end && after !== 0 && after !== 0x20) {
    throw badNumber(field, fromBytes(header, field.offset, end));
  }
  return value;
}

/** A field without digits in front of its first NUL, at `at`. */
function readEmpty(header: Uint8Array, field: NumberField, at: number): 0 {
  const end = field.offset + field.length;
  for (let i = at; i < end; i++) {
    if (header[i] !== 0 && header[i] !== 0x20) throw badNumber(field, fromBytes(header, field.offset, end));
  }
  return 0;
}

function isOctal(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x37;
}

function readBinary(header: Uint8Array, field: NumberField, first: number): number | bigint {
  let value = BigInt(first & 0x40 ? (first & 0x7f) - 0x80 : first & 0x7f);
  for (let i = 1; i < field.length; i++) value = (value << 8n) | BigInt(header[field.offset + i] as number);
  return BigInt.asIntN(54, value) === value ? Number(value) : value;
}

/**
 * `value` when it lies between `min` and `max`.
 *
 * @throws OsdeployError `bad-format` when it does not.
 */
export function checkRange(value: number | bigint, range: { min: number; max: number }, what: string): number {
  if (value < range.min || value > range.max) {
    throw new OsdeployError("bad-format", `Cannot read tar entry: its ${what} ${value} is out of range`);
  }
  return Number(value);
}

/**
 * A decimal number without sign, as PAX records hold.
 *
 * @throws OsdeployError `bad-format` when it is none.
 */
export function readDecimal(text: ByteString, what: string): number | bigint {
  if (!/^[0-9]{1,30}$/.test(text)) throw badNumber({ what }, text);
  return text.length < 16 ? Number(text) : BigInt(text);
}

/** Seconds and nanoseconds since 1970; the nanoseconds count forward, also before 1970. */
export interface TarTime {
  readonly seconds: bigint;
  readonly nanoseconds: number;
}

/**
 * A PAX time: decimal seconds with an optional sign and fraction. What is finer than a nanosecond is cut off.
 *
 * @throws OsdeployError `bad-format` when it is none, or does not fit a signed 64-bit number.
 */
export function readTime(text: ByteString): TarTime {
  const parts = /^([+-]?)([0-9]{1,30})(?:\.([0-9]*))?$/.exec(text);
  if (parts === null) throw badNumber({ what: "mtime" }, text);
  const [, sign, whole, fraction = ""] = parts as unknown as readonly [string, string, string, string?];
  const nanoseconds = Number(fraction.slice(0, 9).padEnd(9, "0"));
  if (sign !== "-") return { seconds: checkSeconds(BigInt(whole)), nanoseconds };
  const seconds = checkSeconds(-BigInt(whole) - (nanoseconds > 0 ? 1n : 0n));
  return { seconds, nanoseconds: nanoseconds > 0 ? 1_000_000_000 - nanoseconds : 0 };
}

/** @throws OsdeployError `bad-format` when `seconds` does not fit a signed 64-bit number. */
export function checkSeconds(seconds: bigint): bigint {
  if (BigInt.asIntN(64, seconds) !== seconds) {
    throw new OsdeployError("bad-format", `Cannot read tar entry: its mtime ${seconds} does not fit 64 bits`);
  }
  return seconds;
}

function badNumber(field: { readonly what: string }, text: ByteString): OsdeployError {
  const shown = JSON.stringify(toText(text).slice(0, 60));
  return new OsdeployError("bad-format", `Cannot read tar entry: its ${field.what} ${shown} is not a number`);
}
