import { encodeText, exactText } from "../bytes/utf8.ts";
import { OsdeployError } from "../errors.ts";

/** A step of putting a tar together again. */
export type TarSplitRecord =
  /** Bytes of the tar: headers, padding, the end. Valid only until the next record is read. */
  | { readonly kind: "segment"; readonly bytes: Uint8Array }
  /** An entry's header is complete; its content comes here, if it has any. */
  | {
      readonly kind: "file";
      /** Undefined where it is no UTF-8. */
      readonly name: string | undefined;
      readonly sizeBytes: number;
    };

const newline = 0x0a;

/**
 * Reads a tar-split, unpacked: all of a tar but the contents of its files, as JSON, a line for each piece. The segments
 * with the contents in between are the tar again, bit for bit.
 *
 * The check sums of contents in it are passed over: the tar as a whole has its diff id.
 *
 * @throws OsdeployError `bad-format`.
 * @see https://github.com/vbatts/tar-split/blob/v0.12.1/concept/DESIGN.md
 */
export function* readTarSplit(bytes: Uint8Array): IterableIterator<TarSplitRecord> {
  const base64 = new Base64();
  let start = 0;
  for (let position = 0; start < bytes.length; position++) {
    const end = bytes.indexOf(newline, start);
    if (end < 0) throw bad("it ends within a line");
    yield segmentOf(base64, bytes, { start, end, position }) ?? parseLine(bytes.subarray(start, end), position, base64);
    start = end + 1;
  }
}

/** How the line of a segment begins and goes on as the one writer there is makes it. */
const segmentStart = encodeText('{"type":2,"payload":"');
const segmentEnd = encodeText('","position":');

/**
 * The segment in a line of exactly the usual form, which need not become a text first: nine tenths of all bytes are such.
 * Undefined for other lines.
 */
function segmentOf(
  base64: Base64,
  bytes: Uint8Array,
  { start, end, position }: { readonly start: number; readonly end: number; readonly position: number },
): TarSplitRecord | undefined {
  const from = start + segmentStart.length;
  const to = end - segmentEnd.length - digits(position) - 1;
  if (to <= from || !hasAt(bytes, start, segmentStart) || !hasAt(bytes, to, segmentEnd)) return undefined;
  if (bytes[end - 1] !== 0x7d || numberAt(bytes, to + segmentEnd.length, end - 1) !== position) return undefined;
  return { kind: "segment", bytes: base64.decode(bytes, from, to) };
}

function digits(value: number): number {
  let count = 1;
  for (let bound = 10; value >= bound; bound *= 10) count++;
  return count;
}

function numberAt(bytes: Uint8Array, start: number, end: number): number {
  let value = 0;
  for (let at = start; at < end; at++) value = value * 10 + (bytes[at] as number) - 0x30;
  return value;
}

function hasAt(bytes: Uint8Array, at: number, part: Uint8Array): boolean {
  for (let i = 0; i < part.length; i++) {
    if (bytes[at + i] !== part[i]) return false;
  }
  return true;
}

function parseLine(line: Uint8Array, position: number, base64: Base64): TarSplitRecord {
  const fields = parseJson(line);
  if (fields.position !== position) throw bad(`line ${position} says that it is another`);
  if (fields.type === 2) {
    if (typeof fields.payload !== "string") throw bad(`segment ${position} has no bytes`);
    const payload = encodeText(fields.payload);
    return { kind: "segment", bytes: base64.decode(payload, 0, payload.length) };
  }
  const sizeBytes = fields.size ?? 0;
  if (fields.type !== 1 || typeof sizeBytes !== "number" || !Number.isSafeInteger(sizeBytes) || sizeBytes < 0) {
    throw bad(`line ${position} is neither a segment nor a file`);
  }
  return { kind: "file", name: typeof fields.name === "string" ? fields.name : undefined, sizeBytes };
}

interface Fields {
  readonly type?: unknown;
  readonly name?: unknown;
  readonly size?: unknown;
  readonly payload?: unknown;
  readonly position?: unknown;
}

function parseJson(line: Uint8Array): Fields {
  let value: unknown;
  try {
    value = JSON.parse(exactText(line) ?? "");
  } catch (cause) {
    throw bad("a line is no JSON", cause);
  }
  if (typeof value !== "object" || value === null) throw bad("a line is no object");
  return value;
}

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const equalsSign = 0x3d;
/** What each character stands for; 255 for what is no base64. */
const values = new Uint8Array(256).fill(255);
for (let i = 0; i < alphabet.length; i++) values[alphabet.charCodeAt(i)] = i;

/** Decodes padded base64, always to the same memory: a tar-split has a hundred thousand small pieces. */
class Base64 {
  #room = new Uint8Array(16 * 1024);

  decode(text: Uint8Array, start: number, end: number): Uint8Array {
    const length = end - start;
    if (length % 4 !== 0) throw bad("a segment is no base64");
    if (length > this.#room.length) this.#room = new Uint8Array(2 * length);
    const room = this.#room;
    // The last four may end in padding, which counts as zeros and is cut off.
    const padding = length === 0 ? 0 : paddingOf(text, end);
    let seen = 0;
    let to = 0;
    for (let at = start; at < end; at += 4) {
      const isLast = at + 4 === end;
      const a = values[text[at] as number] as number;
      const b = values[text[at + 1] as number] as number;
      const c = isLast && padding > 1 ? 0 : (values[text[at + 2] as number] as number);
      const d = isLast && padding > 0 ? 0 : (values[text[at + 3] as number] as number);
      seen |= a | b | c | d;
      const word = (a << 18) | (b << 12) | (c << 6) | d;
      room[to] = word >> 16;
      room[to + 1] = word >> 8;
      room[to + 2] = word;
      to += 3;
    }
    if (seen > 63) throw bad("a segment is no base64");
    return room.subarray(0, to - padding);
  }
}

function paddingOf(text: Uint8Array, end: number): number {
  if (text[end - 1] !== equalsSign) return 0;
  return text[end - 2] === equalsSign ? 2 : 1;
}

function bad(state: string, cause?: unknown): OsdeployError {
  return new OsdeployError("bad-format", `Cannot use the layer's tar-split: ${state}`, { cause });
}
