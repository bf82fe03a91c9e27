import { OsdeployError } from "../errors.ts";

const maxU64 = 2n ** 64n - 1n;

/** Digits that fit a double without loss, in base 8 and in base 10. */
const exactDigits = 15;

/**
 * The field `text[start…end]` as C `strtoull` reads it, low 32 bits.
 *
 * @throws OsdeployError `bad-format`, mkcomposefs's text.
 */
export function parseU32(text: string, start: number, end: number, base: 8 | 10): number {
  const plain = plainDigits(text, start, end, base);
  return plain >= 0 ? plain >>> 0 : Number(BigInt.asUintN(32, anyInteger(text.slice(start, end), base)));
}

/** The same with all 64 bits. */
export function parseU64(text: string, start: number, end: number): bigint {
  const plain = plainDigits(text, start, end, 10);
  return plain >= 0 ? BigInt(plain) : anyInteger(text.slice(start, end), 10);
}

/** Whether `strtoull` would take the whole field. */
export function isInteger(text: string, start: number, end: number): boolean {
  return plainDigits(text, start, end, 10) >= 0 || integerPattern[10].test(text.slice(start, end));
}

/** The value of a field that is a few digits and nothing else, as nearly all are; -1 for any other. */
export function plainDigits(text: string, start: number, end: number, base: 8 | 10): number {
  if (end - start > exactDigits || start >= end) return -1;
  let value = 0;
  for (let at = start; at < end; at++) {
    const digit = text.charCodeAt(at) - 0x30;
    if (digit < 0 || digit >= base) return -1;
    value = value * base + digit;
  }
  return value;
}

const integerPattern = { 8: /^[\t\v\f\r]*([+-]?)([0-7]+)$/, 10: /^[\t\v\f\r]*([+-]?)([0-9]+)$/ };

function anyInteger(field: string, base: 8 | 10): bigint {
  const match = integerPattern[base].exec(field);
  if (match === null) throw new OsdeployError("bad-format", `Invalid integer ${field}`);
  const digits = `${match[2]}`.replace(/^0+(?=.)/, "");
  // More digits than any 64-bit number has are not worth converting, which takes quadratic time.
  if (digits.length > 22) return maxU64;
  const value = BigInt(base === 8 ? `0o${digits}` : digits);
  if (value > maxU64) return maxU64;
  return match[1] === "-" ? BigInt.asUintN(64, -value) : value;
}
