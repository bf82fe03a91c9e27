import { describe, expect, test } from "vitest";
import { readTarSplit, type TarSplitRecord } from "../../../../src/core/tar/tar-split.ts";

/** All records; bytes of segments are copied, as they are valid only until the next. */
function read(...lines: readonly (string | object)[]): readonly TarSplitRecord[] {
  const text = lines.map((line) => `${typeof line === "string" ? line : JSON.stringify(line)}\n`).join("");
  return readAll(new TextEncoder().encode(text));
}

function readAll(bytes: Uint8Array): readonly TarSplitRecord[] {
  const records: TarSplitRecord[] = [];
  for (const record of readTarSplit(bytes)) {
    records.push(record.kind === "segment" ? { kind: "segment", bytes: Uint8Array.from(record.bytes) } : record);
  }
  return records;
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("base64");
}

describe("readTarSplit", () => {
  test("reads nothing from nothing", () => {
    expect(read()).toEqual([]);
  });

  test("reads segments and files in order", () => {
    const records = read(
      '{"type":2,"payload":"AAEC","position":0}',
      '{"type":1,"name":"usr/","payload":null,"position":1}',
      '{"type":1,"name":"a","size":5,"payload":"YUbEHtAAAAA=","position":2}',
      '{"type":1,"name_raw":"/w==","size":6,"payload":"YUbEHtAAAAA=","position":3}',
    );
    expect(records).toEqual([
      { kind: "segment", bytes: Uint8Array.of(0, 1, 2) },
      { kind: "file", name: "usr/", sizeBytes: 0 },
      { kind: "file", name: "a", sizeBytes: 5 },
      { kind: "file", name: undefined, sizeBytes: 6 },
    ]);
  });

  test("reads segments of every length, in the usual form and in any other", () => {
    const lengths = [1, 2, 3, 4, 5, 511, 512, 513, 20_000, 100];
    const segments = lengths.map((length) => Uint8Array.from({ length }, (_, i) => (i * 7 + length) & 255));
    const usual = segments.map((bytes, position) => ({ type: 2, payload: base64(bytes), position }));
    const other = segments.map((bytes, position) => ({ position, type: 2, payload: base64(bytes) }));
    const expected = segments.map((bytes) => ({ kind: "segment", bytes }));
    expect(read(...usual)).toEqual(expected);
    expect(read(...other)).toEqual(expected);
  });

  test("knows the usual form at positions of every length", () => {
    const lines = Array.from({ length: 1001 }, (_, position) => ({ type: 2, payload: "AAAA", position }));
    expect(read(...lines)).toHaveLength(1001);
  });

  test("reads an empty segment", () => {
    expect(read({ type: 2, payload: "", position: 0 })).toEqual([{ kind: "segment", bytes: new Uint8Array(0) }]);
  });

  test.each<readonly [string, string | object, string]>([
    ["a line that is no JSON", "{", "a line is no JSON"],
    ["a line that is no object", "1", "a line is no object"],
    ["null", "null", "a line is no object"],
    ["a line out of place", { type: 1, name: "a", position: 1 }, "line 0 says that it is another"],
    ["a segment out of place", '{"type":2,"payload":"AAAA","position":7}', "line 0 says that it is another"],
    ["a segment without bytes", { type: 2, payload: null, position: 0 }, "segment 0 has no bytes"],
    ["another type", { type: 3, position: 0 }, "neither a segment nor a file"],
    ["a size that is text", { type: 1, size: "1", position: 0 }, "neither a segment nor a file"],
    ["a size beyond all numbers", { type: 1, size: 2 ** 53, position: 0 }, "neither a segment nor a file"],
    ["a size below zero", { type: 1, size: -1, position: 0 }, "neither a segment nor a file"],
    ["base64 that is cut", { type: 2, payload: "AAA", position: 0 }, "no base64"],
    ["base64 that is cut, in another form", { position: 0, type: 2, payload: "AAA" }, "no base64"],
    ["base64 with other characters", { type: 2, payload: "AA A", position: 0 }, "no base64"],
    ["base64 with padding in front", { type: 2, payload: "=AAA", position: 0 }, "no base64"],
    ["base64 with padding alone", { type: 2, payload: "====", position: 0 }, "no base64"],
    ["the usual form with something in it", '{"type":2,"payload":"AA\\"A","position":0}', "no base64"],
  ])("refuses %s", (_, line, message) => {
    expect(() => read(line)).toThrow(message);
  });

  test("refuses a last line without end, and what is no UTF-8", () => {
    expect(() => readAll(new TextEncoder().encode('{"type":1,"position":0}'))).toThrow("ends within a line");
    expect(() => readAll(Uint8Array.of(0xff, 0x0a))).toThrow("no JSON");
    expect(() => read('\ufeff{"type":1,"position":0}')).toThrow("no JSON");
    expect(() => readAll(Buffer.from('{"type":1,"name":"\xff","position":0}\n', "latin1"))).toThrow("no JSON");
  });
});
