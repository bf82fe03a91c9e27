import type { ByteString } from "../bytes/byte-string.ts";
import { OsdeployError } from "../errors.ts";

const named: Readonly<Record<string, string>> = { "\\": "\\", n: "\n", r: "\r", t: "\t" };

/**
 * The bytes that the dump field `raw` stands for.
 *
 * @throws OsdeployError `bad-format`, mkcomposefs's text.
 * @see https://github.com/composefs/composefs/blob/main/man/composefs-dump.md
 */
export function unescapeField(raw: string): ByteString {
  let backslash = raw.indexOf("\\");
  if (backslash < 0) return raw as ByteString;
  const pieces: string[] = [];
  let at = 0;
  while (backslash >= 0) {
    pieces.push(raw.slice(at, backslash), escapedByte(raw, backslash));
    at = backslash + (raw[backslash + 1] === "x" ? 4 : 2);
    backslash = raw.indexOf("\\", at);
  }
  pieces.push(raw.slice(at));
  return pieces.join("") as ByteString;
}

function escapedByte(raw: string, backslash: number): string {
  const letter = raw[backslash + 1];
  if (letter === undefined) throw new OsdeployError("bad-format", "No character after escape");
  if (letter === "x") {
    const hex = raw.slice(backslash + 2, backslash + 4);
    if (hex.length < 2) throw new OsdeployError("bad-format", "No hex characters after hex escape");
    if (!/^[0-9a-fA-F]{2}$/.test(hex)) {
      throw new OsdeployError("bad-format", "Invalid hex characters after hex escape");
    }
    return String.fromCharCode(Number.parseInt(hex, 16));
  }
  const byte = Object.hasOwn(named, letter) ? named[letter] : undefined;
  if (byte === undefined) throw new OsdeployError("bad-format", `Unsupported escape type ${letter}`);
  return byte;
}

/** What else than the always escaped bytes a field of a dump escapes. */
export type EscapeMode =
  /** Nothing else. */
  | "path"
  /** A lone dash, which would mean "not set". */
  | "optional"
  /** The equals sign, which ends an xattr's key. */
  | "xattr"
  /** Nothing, and a space stays as it is: for people. */
  | "spaces-raw";

const needsEscape: Readonly<Record<EscapeMode, RegExp>> = {
  path: /[^\x21-\x5b\x5d-\x7e]/,
  optional: /[^\x21-\x5b\x5d-\x7e]/,
  xattr: /[^\x21-\x3c\x3e-\x5b\x5d-\x7e]/,
  "spaces-raw": /[^\x20-\x5b\x5d-\x7e]/,
};

const escapes: Readonly<Record<string, string>> = { "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t" };

/** `bytes` as composefs-info writes them into a field. */
export function escapeField(bytes: ByteString, mode: EscapeMode): ByteString {
  if (mode === "optional" && bytes === "-") return "\\x2d" as ByteString;
  if (!needsEscape[mode].test(bytes)) return bytes;
  const all = new RegExp(needsEscape[mode], "g");
  return bytes.replace(all, (byte) => escapes[byte] ?? hexEscape(byte)) as ByteString;
}

function hexEscape(byte: string): string {
  return `\\x${byte.charCodeAt(0).toString(16).padStart(2, "0")}`;
}
