import { expect, test } from "vitest";
import { type ObjectId, parseObjectId } from "../../../../src/core/digest/object-id.ts";
import { SplitstreamWriter } from "../../../../src/core/splitstream/splitstream-writer.ts";
import { compress, id, readStream, sampleStream, showRecords } from "../../../builders/splitstreams.ts";
import { latin1 } from "../../../builders/tar-blocks.ts";

test("SplitstreamWriter: records, refs and names come back", () => {
  const stream = readStream(sampleStream());
  expect(stream.algorithm).toBe("sha256");
  expect(stream.content).toBe("layer");
  expect(stream.sizeBytes).toBe(5_000_000_210n);
  expect(stream.objectRefs).toEqual([id("b"), id("a")]);
  expect(stream.streamRefs).toEqual([id("e"), id("d")]);
  expect(stream.namedRefs).toEqual(
    new Map([
      ["other:1", id("e")],
      ["sha256:1", id("d")],
      ["sha256:2", id("e")],
    ]),
  );
  expect(showRecords(stream)).toEqual(["header", "b", "a", "tail", "b"]);
});

test("SplitstreamWriter: has the bytes that other programs read", () => {
  const writer = new SplitstreamWriter("sha512", "blob");
  writer.addObject(id("c", 128), 70n);
  writer.addInline(latin1("xy"));
  writer.addNamedRef("config:é", id("f", 128));
  const file = Buffer.from(writer.finish(compress));
  const number = (offset: number) => Number(file.readBigUInt64LE(offset));
  expect(readStream(file).algorithm).toBe("sha512");
  expect(readStream(file).objectRefs).toEqual([id("c", 128)]);
  expect(file.toString("latin1", 0, 11)).toBe("SplitStream");
  expect([...file.subarray(11, 16)]).toEqual([0, 0, 0, 2, 12]);
  expect([number(16), number(24)]).toEqual([32, 112]);
  const [stream, named] = [[number(64), number(72)] as const, [number(80), number(88)] as const];
  expect([number(32), number(40)]).toEqual([112, 176]);
  expect([number(48), number(56)]).toEqual([176, 240]);
  expect(named[0]).toBe(240);
  expect(stream).toEqual([named[1], file.length]);
  expect(file.toString("latin1", 96, 104)).toBe("oci_blob");
  expect(number(104)).toBe(72);
  expect(file.subarray(112, 176).every((byte) => byte === 0xff)).toBe(true);
  expect(file.toString("utf8", named[0] + 1, named[1])).toBe("0:config:é\0");
  expect(file.subarray(stream[0] + 1).toString("hex")).toBe(`${"00".repeat(8)}feffffffffffffff7879`);
});

test("SplitstreamWriter: names sort as bytes, not as UTF-16", () => {
  const writer = new SplitstreamWriter("sha256", "manifest");
  writer.addNamedRef("\u{10000}", id("a"));
  writer.addNamedRef("\uffff", id("b"));
  writer.addNamedRef("same", id("c"));
  writer.addNamedRef("same", id("d"));
  expect([...readStream(writer.finish(compress)).namedRefs]).toEqual([
    ["same", id("d")],
    ["\uffff", id("b")],
    ["\u{10000}", id("a")],
  ]);
});

test("SplitstreamWriter: an empty one has no records", () => {
  const stream = readStream(new SplitstreamWriter("sha256", "config").finish(compress));
  expect([stream.content, stream.sizeBytes, ...stream.records()]).toEqual(["config", 0n]);
});

test("SplitstreamWriter: inline bytes grow as far as needed", () => {
  const writer = new SplitstreamWriter("sha256", "layer");
  const block = new Uint8Array(50_000).fill(7);
  for (let i = 0; i < 5; i++) writer.addInline(block);
  writer.addInline(new Uint8Array(600_000).fill(8));
  const [record, ...rest] = readStream(writer.finish(compress)).records();
  expect(rest).toEqual([]);
  expect(record?.kind === "inline" && [record.bytes.length, record.bytes[249_999], record.bytes[250_000]]).toEqual([
    850_000, 7, 8,
  ]);
});

test("SplitstreamWriter: no bytes are no record, and as many objects come in a row as there are", () => {
  const writer = new SplitstreamWriter("sha256", "layer");
  writer.addInline(new Uint8Array(0));
  for (let number = 0; number < 10_000; number++) writer.addObject(id("a"), 65n);
  const records = [...readStream(writer.finish(compress)).records()];
  expect(records).toHaveLength(10_000);
  expect(records.every((record) => record.kind === "object")).toBe(true);
});

test("SplitstreamWriter: ids are written as they are read", () => {
  const writer = new SplitstreamWriter("sha256", "layer");
  const mixed = "0123456789abcdef".repeat(4) as ObjectId;
  writer.addObject(mixed, 1n);
  expect(readStream(writer.finish(compress)).objectRefs).toEqual([mixed]);
});

test("SplitstreamWriter: with a compressor, records are handed on as they come, and read back the same", () => {
  const taken: Uint8Array[] = [];
  const compressor = {
    write: (bytes: Uint8Array) => taken.push(bytes.slice()),
    finish: () => compress(Buffer.concat(taken)),
  };
  const plain = new SplitstreamWriter("sha256", "layer");
  const streaming = new SplitstreamWriter("sha256", "layer", compressor);
  for (const writer of [plain, streaming]) {
    for (let number = 0; number < 300; number++) {
      writer.addInline(new Uint8Array(2000).fill(number));
      writer.addObject(parseObjectId(number.toString(16).padStart(64, "0"), "sha256"), 99n);
    }
  }
  expect(Buffer.compare(plain.finish(compress), streaming.finish(compress))).toBe(0);
  expect(taken.length).toBe(3);
});

test("SplitstreamWriter: refuses inline bytes that would need too much memory in one piece", () => {
  const writer = new SplitstreamWriter("sha256", "layer");
  const huge = { length: 300 * 1024 * 1024 } as unknown as Uint8Array;
  expect(() => writer.addInline(huge)).toThrow(/Cannot keep more than 268435456 bytes in one piece/);
});
