import type { RegexCursor } from "./regex-cursor.ts";

const letters: ReadonlyMap<string, string> = new Map([
  ["a", "\x07"],
  ["f", "\f"],
  ["n", "\n"],
  ["r", "\r"],
  ["t", "\t"],
]);

/**
 * The byte that an escape stands for, as a string; the cursor is behind the backslash.
 *
 * @throws OsdeployError `bad-format`, or `unsupported`, when it stands for something else or nothing.
 */
export function readByteEscape(cursor: RegexCursor): string {
  const letter = cursor.take();
  if (letter === "") throw cursor.invalid("it ends in a backslash");
  if (letter === "x") return readHexEscape(cursor);
  const known = letters.get(letter);
  if (known !== undefined) return known;
  if (/[0-9A-Za-z]/.test(letter)) return readOtherEscape(cursor, letter);
  if (cursor.dialect === "rust" && /[<>\x80-\xff]/.test(letter)) {
    throw letter === "<" || letter === ">"
      ? cursor.unsupported(`escape \\${letter} means different things to different engines`)
      : cursor.invalid("what is not ASCII is escaped");
  }
  return letter;
}

function readHexEscape(cursor: RegexCursor): string {
  const braced = cursor.match(/\{([0-9A-Fa-f]{1,8})\}/y);
  const digits = braced?.[1] ?? cursor.match(/[0-9A-Fa-f]{2}/y)?.[0];
  if (digits === undefined) throw cursor.invalid("\\x has no two hex digits");
  const code = Number.parseInt(digits, 16);
  if (code > (braced === undefined ? 0xff : 0x7f)) throw cursor.unsupported(`\\x{${digits}} is not ASCII`);
  return String.fromCharCode(code);
}

function readOtherEscape(cursor: RegexCursor, letter: string): string {
  if (cursor.dialect === "rust") {
    if (letter === "v") return "\v";
    throw cursor.invalid(`escape \\${letter} is unknown`);
  }
  if (letter === "e") return "\x1b";
  if (letter === "0") return String.fromCharCode(Number.parseInt(`0${cursor.textOf(/[0-7]{1,2}/y)}`, 8));
  throw cursor.unsupported(`escape \\${letter} is not supported`);
}
