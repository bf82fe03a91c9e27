import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { readSqliteTable } from "../../../../src/core/packages/sqlite-table.ts";
import { refusal } from "../../../builders/refusal.ts";

const rows = readFileSync(new URL("../../../vectors/packages/rows.sqlite", import.meta.url));
const pageBytes = 512;

/** The database with some bytes changed. */
function changed(...changes: readonly (readonly [at: number, ...bytes: readonly number[]])[]): Uint8Array<ArrayBuffer> {
  const copy = Uint8Array.from(rows);
  for (const [at, ...bytes] of changes) copy.set(bytes, at);
  return copy;
}

const refused = (file: Uint8Array, table = "Rows") => refusal(() => readSqliteTable(file, table));
const bad = (state: string) => `bad-format: Cannot read the SQLite database: ${state}`;

/** Where a page of this type begins, the first after the schema's. */
function pageOf(type: number): number {
  for (let at = pageBytes; at < rows.length; at += pageBytes) if (rows[at] === type) return at;
  throw new Error(`There is no page of the type ${type}`);
}
const [interior, leaf] = [pageOf(0x05), pageOf(0x0d)];
/** Where the row of a cell begins: behind its size and its number. */
function headerOf(cell: number): number {
  const sizeEnd = (rows[cell] ?? 0) < 0x80 ? cell + 1 : cell + 2;
  return sizeEnd + 1;
}
const cellOf = (page: number, number: number) => page + rows.readUInt16BE(page + 8 + 2 * number);

test("readSqliteTable: all rows in order, also those that need further pages", () => {
  const found = readSqliteTable(rows, "Rows") ?? [];
  const texts = found.map((row) => Buffer.from(row[1]?.bytes ?? []).toString("latin1"));
  const expected = Array.from({ length: 60 }, (_, i) => String.fromCharCode(64 + ((i + 1) % 26)).repeat((i + 1) * 20));
  expect(texts).toEqual([...expected, "\u00ff"]);
  expect(found.every((row) => row.length === 2 && row[0]?.bytes.length === 0)).toBe(true);
});

test("readSqliteTable: a value of each type that there is", () => {
  const [row = []] = readSqliteTable(rows, "Kinds") ?? [];
  expect(row.map(({ type, bytes }) => [type, Buffer.from(bytes).toString("hex")])).toEqual([
    ...[
      [0, ""],
      [8, ""],
      [9, ""],
      [1, "64"],
      [2, "03e8"],
      [3, "0186a0"],
    ],
    ...[
      [5, "0002540be400"],
      [6, "0011c37937e08000"],
      [7, "3ff8000000000000"],
      [21, "74657874"],
    ],
  ]);
});

test("readSqliteTable: nothing where there is no such table", () => {
  expect(readSqliteTable(rows, "Packages")).toBeUndefined();
});

test("readSqliteTable: what is no database is refused", () => {
  expect(refused(new Uint8Array(0))).toBe(bad("it is none"));
  expect(refused(changed([0, 0x73]))).toBe(bad("it is none"));
  for (const size of [
    [0, 0],
    [1, 0],
    [3, 0],
  ]) {
    expect(refused(changed([16, ...size]))).toBe(bad("its pages have no size that there is"));
  }
  expect(refused(changed([20, 33]))).toBe(bad("its pages have no size that there is"));
  // The one size that does not fit into its field.
  expect(refused(changed([16, 0, 1]))).toBe(bad("it has no page 1"));
});

test("readSqliteTable: trees that lead nowhere, in a circle or to something else are refused", () => {
  const child = interior + rows.readUInt16BE(interior + 12);
  expect(refused(changed([child, 0, 0, 0xff, 0xff]))).toBe(bad("it has no page 65535"));
  expect(refused(changed([child, 0, 0, 0, 0]))).toBe(bad("it has no page 0"));
  expect(refused(changed([child, 0, 0, 0, interior / pageBytes + 1]))).toMatch(/page \d+ is in it twice$/);
  expect(refused(changed([leaf, 0x0a]), "Kinds")).toBe(bad(`page ${leaf / pageBytes + 1} is of the type 10`));
});

test("readSqliteTable: cells and rows that reach out of their pages are refused", () => {
  expect(refused(changed([leaf + 3, 0xff, 0xff]), "Kinds")).toBe(bad("a page has more cells than room"));
  expect(refused(changed([leaf + 8, 0x02, 0x00]), "Kinds")).toBe(bad("a cell lies outside of its page"));
  const cell = cellOf(leaf, 0);
  expect(refused(changed([cell, 0x83, 0x00]), "Kinds")).toBe(bad("a row reaches beyond its page"));
  expect(refused(changed([cell, ...Array(8).fill(0xff), 0xff]), "Kinds")).toBe(bad("a row reaches beyond its page"));
  const atEnd = changed([leaf + 8, 0x01, 0xfc], [leaf + 0x1fc, 0xff, 0xff, 0xff, 0xff]);
  expect(refused(atEnd, "Kinds")).toBe(bad("a number is cut off"));
});

test("readSqliteTable: rows whose columns do not fit are refused", () => {
  const record = cellOf(leaf, 0) + 2;
  expect(refused(changed([record + 1, 0x7f]), "Kinds")).toBe(bad("a row is cut off"));
  expect(refused(changed([record, 0x7f]), "Kinds")).toMatch(/(a number is cut off|a row is cut off)$/);
  // The tenth row: its 200 bytes are taken for types of columns.
  const value = rows.indexOf("J".repeat(200));
  expect(refused(changed([value - 4, 0x7f]))).toBe(bad("a row has more than 100 columns"));
});

test("readSqliteTable: a schema that is none names no table, or itself", () => {
  const cells = [0, 1].map((number) => rows.readUInt16BE(100 + 8 + 2 * number));
  const empty = changed(...cells.map((cell): [number, number] => [headerOf(cell), 1]));
  expect(readSqliteTable(empty, "Rows")).toBeUndefined();
  const untyped = changed(...cells.map((cell): [number, number] => [headerOf(cell) + 1, 0x16]));
  expect(readSqliteTable(untyped, "Rows")).toBeUndefined();
  const itself = changed(...cells.map((cell): [number, number] => [headerOf(cell) + 4, 0x09]));
  expect(readSqliteTable(itself, "Rows")).toHaveLength(2);
});

/** A database with one table, whose only page names one row of 1000 bytes so many times. */
function repeatedRow(times: number): Uint8Array {
  const file = Buffer.alloc(2 * 4096);
  file.write("SQLite format 3\0", "latin1");
  file.writeUInt16BE(4096, 16);
  const schema = Buffer.concat([Buffer.from([6, 23, 21, 21, 1, 12]), Buffer.from("tableRowsRows"), Buffer.of(2)]);
  const row = Buffer.concat([Buffer.of(3, 0x8f, 0x56), Buffer.alloc(997)]);
  for (const [page, header, record, cells] of [
    [0, 100, schema, 1],
    [4096, 4096, row, times],
  ] as const) {
    const start = 4096 - record.length - 3;
    file[header] = 0x0d;
    file.writeUInt16BE(cells, header + 3);
    for (let i = 0; i < cells; i++) file.writeUInt16BE(start, header + 8 + 2 * i);
    file.set([0x80 + (record.length >> 7), record.length & 0x7f, 1], page + start);
    file.set(record, page + start + 3);
  }
  return file;
}

test("readSqliteTable: rows that lie at one place, and are more than the file, are refused", () => {
  expect(readSqliteTable(repeatedRow(8), "Rows")).toHaveLength(8);
  expect(refused(repeatedRow(9))).toBe(bad("its rows have more bytes than the file"));
});
