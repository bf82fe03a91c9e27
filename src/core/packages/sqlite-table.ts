import { fromBytes } from "../bytes/byte-string.ts";
import { element } from "../bytes/element.ts";
import { decodeText } from "../bytes/utf8.ts";
import { OsdeployError } from "../errors.ts";

/** A value of a row: the number that tells its type, and its bytes as they are stored. */
export interface SqliteValue {
  readonly type: number;
  readonly bytes: Uint8Array;
}

/** One row. A column that stands for the row's number is stored as NULL, which has no bytes. */
export type SqliteRow = readonly SqliteValue[];

const magic = "SQLite format 3\0";
const fileHeaderBytes = 100;
const pageTypes = { interior: 0x05, leaf: 0x0d } as const;
/** Columns in one row; the schema of rpm's database has five. */
const columnLimit = 100;

/**
 * The rows of the table with this name in an SQLite database, in the order of their numbers. Undefined when it has no such
 * table. Only what is in the file itself: whoever has a write-ahead log beside it asks in vain.
 *
 * An image chooses these bytes. Each page is read once at most, and its rows are no more bytes than the file, so that time and
 * memory are those of the file.
 *
 * @throws OsdeployError `bad-format` when it is no such database, or damaged.
 * @see https://www.sqlite.org/fileformat2.html
 */
export function readSqliteTable(file: Uint8Array, table: string): readonly SqliteRow[] | undefined {
  const database = new Database(file);
  // The columns of the schema: type, name, the table that it is about, its topmost page, and how it was made.
  for (const row of database.rows(1)) {
    const root = row[3];
    if (root === undefined || textOf(element(row, 0)) !== "table" || textOf(element(row, 1)) !== table) continue;
    return [...database.rows(integerOf(root))];
  }
  return undefined;
}

class Database {
  readonly #file: Uint8Array;
  readonly #view: DataView;
  readonly #pageBytes: number;
  /** Bytes of a page that are used; others may be reserved at its end. */
  readonly #usedBytes: number;
  /** Bytes of all rows so far. Many cells may lie at one place of a page. */
  #rowBytes = 0;

  constructor(file: Uint8Array) {
    if (file.length < fileHeaderBytes || fromBytes(file, 0, magic.length) !== magic) throw bad("it is none");
    this.#file = file;
    this.#view = new DataView(file.buffer, file.byteOffset, file.length);
    const pageBytes = this.#view.getUint16(16);
    this.#pageBytes = pageBytes === 1 ? 65_536 : pageBytes;
    this.#usedBytes = this.#pageBytes - element(file, 20);
    const isPower = Number.isInteger(Math.log2(this.#pageBytes));
    if (this.#pageBytes < 512 || !isPower || this.#usedBytes < 480) throw bad("its pages have no size that there is");
  }

  /** The rows of the tree whose topmost page is this one. */
  *rows(root: number): Generator<SqliteRow> {
    const seen = new Set<number>();
    const ahead = [root];
    for (let page = ahead.pop(); page !== undefined; page = ahead.pop()) {
      const start = this.#pageStart(page, seen);
      const header = page === 1 ? start + fileHeaderBytes : start;
      const type = this.#view.getUint8(header);
      if (type === pageTypes.interior) ahead.push(...[...this.#children(start, header)].reverse());
      else if (type === pageTypes.leaf) {
        for (const cell of this.#cells(start, header, 8)) yield parseRecord(this.#payload(start, cell, seen));
      } else throw bad(`page ${page} is of the type ${type}`);
    }
  }

  #pageStart(page: number, seen: Set<number>): number {
    const start = (page - 1) * this.#pageBytes;
    if (page < 1 || start + this.#pageBytes > this.#file.length) throw bad(`it has no page ${page}`);
    if (seen.has(page)) throw bad(`page ${page} is in it twice`);
    seen.add(page);
    return start;
  }

  #children(start: number, header: number): readonly number[] {
    const left = this.#cells(start, header, 12).map((cell) => this.#view.getUint32(cell));
    return [...left, this.#view.getUint32(header + 8)];
  }

  /** Where the cells of a page begin, from the start of the file. */
  #cells(start: number, header: number, headerBytes: number): readonly number[] {
    const count = this.#view.getUint16(header + 3);
    const end = start + this.#usedBytes;
    if (header + headerBytes + 2 * count > end) throw bad("a page has more cells than room");
    return Array.from({ length: count }, (_, index) => {
      const cell = start + this.#view.getUint16(header + headerBytes + 2 * index);
      if (cell + 4 > end) throw bad("a cell lies outside of its page");
      return cell;
    });
  }

  /** The bytes of a row; those that have no room in its page are in a chain of others. */
  #payload(start: number, cell: number, seen: Set<number>): Uint8Array {
    const end = start + this.#usedBytes;
    const size = readVarint(this.#file, cell, end);
    const number = readVarint(this.#file, size.end, end);
    const at = number.end;
    const localBytes = this.#localBytes(size.value);
    const linkBytes = localBytes < size.value ? 4 : 0;
    if (at + localBytes + linkBytes > end || size.value > this.#file.length) throw bad("a row reaches beyond its page");
    this.#rowBytes += size.value;
    if (this.#rowBytes > this.#file.length) throw bad("its rows have more bytes than the file");
    const payload = new Uint8Array(size.value);
    payload.set(this.#file.subarray(at, at + localBytes));
    let link = at + localBytes;
    for (let done = localBytes; done < payload.length; ) {
      const page = this.#pageStart(this.#view.getUint32(link), seen);
      const length = Math.min(this.#usedBytes - 4, payload.length - done);
      payload.set(this.#file.subarray(page + 4, page + 4 + length), done);
      done += length;
      link = page;
    }
    return payload;
  }

  /** How many bytes of so many are in the page itself. */
  #localBytes(size: number): number {
    const most = this.#usedBytes - 35;
    if (size <= most) return size;
    const least = Math.floor(((this.#usedBytes - 12) * 32) / 255) - 23;
    const fitting = least + ((size - least) % (this.#usedBytes - 4));
    return fitting <= most ? fitting : least;
  }
}

/** A row's header tells the types of all columns; then come their bytes. */
function parseRecord(bytes: Uint8Array): SqliteRow {
  const header = readVarint(bytes, 0, bytes.length);
  const types: number[] = [];
  let at = header.end;
  while (at < header.value) {
    const type = readVarint(bytes, at, Math.min(header.value, bytes.length));
    types.push(type.value);
    at = type.end;
    if (types.length > columnLimit) throw bad(`a row has more than ${columnLimit} columns`);
  }
  return types.map((type) => {
    const length = lengthOf(type);
    if (at + length > bytes.length) throw bad("a row is cut off");
    at += length;
    return { type, bytes: bytes.subarray(at - length, at) };
  });
}

const fixedLengths = [0, 1, 2, 3, 4, 6, 8, 8, 0, 0, 0, 0] as const;

function lengthOf(type: number): number {
  return fixedLengths[type] ?? Math.floor((type - 12) / 2);
}

/** Text has an odd type of 13 or more. */
function textOf({ type, bytes }: SqliteValue): string | undefined {
  return type >= 13 && type % 2 === 1 ? decodeText(bytes) : undefined;
}

/** A whole number that is not negative; the number 1 has a type of its own. */
function integerOf({ type, bytes }: SqliteValue): number {
  return type === 9 ? 1 : bytes.reduce((number, byte) => number * 256 + byte, 0);
}

/** A number of one to nine bytes, seven bits in each, the highest first; the ninth byte has eight. */
function readVarint(bytes: Uint8Array, start: number, end: number): { readonly value: number; readonly end: number } {
  let value = 0;
  for (let at = start; ; at++) {
    if (at >= end) throw bad("a number is cut off");
    const byte = element(bytes, at);
    if (at === start + 8) return { value: value * 256 + byte, end: at + 1 };
    value = value * 128 + (byte & 0x7f);
    if (byte < 0x80) return { value, end: at + 1 };
  }
}

function bad(state: string): OsdeployError {
  return new OsdeployError("bad-format", `Cannot read the SQLite database: ${state}`);
}
