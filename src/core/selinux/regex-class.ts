import { type ByteSet, byteSet, bytesOf, complement, letterClasses, posixClasses } from "./byte-set.ts";
import type { RegexCursor } from "./regex-cursor.ts";
import { readByteEscape } from "./regex-escape.ts";

/** Brackets inside brackets, in Rust's rules. */
const maxNesting = 50;

/**
 * A class; the cursor stands behind its opening bracket, and at the end behind its closing one.
 *
 * In Rust's rules classes nest and `&&`, `--`, `~~` are set operations; in PCRE2's those are bytes like any other.
 *
 * @throws OsdeployError `bad-format` when it is none.
 */
export function readClass(cursor: RegexCursor, depth = 0): ByteSet {
  if (depth > maxNesting) throw cursor.unsupported("its classes nest too deep");
  const negated = cursor.skip("^");
  const set: ByteSet = new Uint8Array(256);
  const dashes = readLeadingDashes(cursor, set);
  // An empty class does not exist: a closing bracket in the first place is a byte of the class.
  if (!dashes && cursor.next === "]") addItem(cursor, set, depth);
  let result = readOperand(cursor, set, depth);
  for (let operation = readOperation(cursor); operation !== undefined; operation = readOperation(cursor)) {
    const right = readOperand(cursor, new Uint8Array(256), depth);
    result = combine(operation, cursor.folded(result), cursor.folded(right));
  }
  if (!cursor.skip("]")) throw cursor.invalid("a class is not closed");
  const folded = cursor.folded(result);
  return negated ? complement(folded) : folded;
}

/** To Rust, dashes at the start of a class are bytes of it, also two of them. Says whether there were any. */
function readLeadingDashes(cursor: RegexCursor, set: ByteSet): boolean {
  if (cursor.dialect === "pcre" || cursor.next !== "-") return false;
  set["-".charCodeAt(0)] = 1;
  while (cursor.skip("-"));
  return true;
}

function operationAt(cursor: RegexCursor): string | undefined {
  if (cursor.dialect === "pcre") return undefined;
  return ["&&", "--", "~~"].find((operation) => cursor.text.startsWith(operation, cursor.at));
}

function readOperation(cursor: RegexCursor): string | undefined {
  const operation = operationAt(cursor);
  if (operation !== undefined) cursor.at += operation.length;
  return operation;
}

function combine(operation: string, left: ByteSet, right: ByteSet): ByteSet {
  return byteSet((byte) => {
    const [a, b] = [left[byte] === 1, right[byte] === 1];
    if (operation === "&&") return a && b;
    return operation === "--" ? a && !b : a !== b;
  });
}

/** Adds items to `set` up to the closing bracket, a set operation or the end. */
function readOperand(cursor: RegexCursor, set: ByteSet, depth: number): ByteSet {
  while (!["", "]"].includes(cursor.next) && !operationAt(cursor)) addItem(cursor, set, depth);
  return set;
}

function addItem(cursor: RegexCursor, set: ByteSet, depth: number): void {
  const named = readNamedClass(cursor, depth);
  if (named !== undefined) {
    for (let byte = 0; byte < 256; byte++) if (named[byte] === 1) set[byte] = 1;
    return;
  }
  const from = readMember(cursor);
  const range = cursor.text.charAt(cursor.at) === "-" && !["]", "-", ""].includes(cursor.text.charAt(cursor.at + 1));
  let to = from;
  if (range) {
    cursor.take();
    if (letterClassAt(cursor) !== undefined) throw cursor.invalid("a range ends in a class");
    to = readMember(cursor);
    if (to < from) throw cursor.invalid("a range in a class runs backwards");
  }
  for (let byte = from; byte <= to; byte++) set[byte] = 1;
}

/** `[:alpha:]`, `\d` or, in Rust's rules, a class within the class. */
function readNamedClass(cursor: RegexCursor, depth: number): ByteSet | undefined {
  const posix = readPosixClass(cursor);
  if (posix !== undefined) {
    if (cursor.dialect === "pcre") refuseRange(cursor, ["]"]);
    return posix;
  }
  if (cursor.dialect === "rust" && cursor.skip("[")) return readClass(cursor, depth + 1);
  const letters = letterClassAt(cursor);
  if (letters === undefined) return undefined;
  cursor.at += 2;
  refuseRange(cursor, cursor.dialect === "pcre" ? ["]"] : ["]", "-"]);
  return letters;
}

/** To Rust, a name that it does not know is a class within the class, of those letters. */
function readPosixClass(cursor: RegexCursor): ByteSet | undefined {
  const start = cursor.at;
  const [text, negation, name = ""] = cursor.match(/\[:(\^?)([a-z]+):\]/y) ?? [];
  if (text === undefined) return undefined;
  const set = posixClasses.get(name);
  if (set !== undefined) return negation === "^" ? complement(set) : set;
  if (cursor.dialect === "pcre") throw cursor.invalid(`class ${text} is unknown`);
  cursor.at = start;
  return undefined;
}

/** A class begins no range: a dash behind it is an error to both, unless one of `after` follows. */
function refuseRange(cursor: RegexCursor, after: readonly string[]): void {
  if (cursor.next === "-" && !after.includes(cursor.text.charAt(cursor.at + 1))) {
    throw cursor.invalid("a range begins with a class");
  }
}

function letterClassAt(cursor: RegexCursor): ByteSet | undefined {
  return cursor.next === "\\" ? letterClasses.get(cursor.text.charAt(cursor.at + 1)) : undefined;
}

/** One byte of a class, as a number. */
function readMember(cursor: RegexCursor): number {
  const letter = cursor.take();
  if (letter === "\\") {
    if (cursor.dialect === "pcre" && cursor.skip("b")) return 0x08;
    return readByteEscape(cursor).charCodeAt(0);
  }
  // Rust knows characters, not bytes, and has switched off classes of what is not ASCII here.
  if (letter > "\x7f" && cursor.dialect === "rust") throw cursor.invalid("a class holds what is not ASCII");
  return letter.charCodeAt(0);
}

const anyByte = complement(bytesOf(""));
const dots = { rust: complement(bytesOf("\0")), pcre: complement(bytesOf("\n")) } as const;

/** The bytes that a dot stands for: PCRE2 leaves out the line end; Rust, told so by composefs-rs, NUL instead. */
export function dotSet(cursor: RegexCursor): ByteSet {
  return cursor.flags.dotAll ? anyByte : dots[cursor.dialect];
}
