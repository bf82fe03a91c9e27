import { expect, test } from "vitest";
import type { ObjectId } from "../../../../src/core/digest/object-id.ts";
import { OsdeployError } from "../../../../src/core/errors.ts";
import { formerLayout } from "../../../../src/core/splitstream/splitstream-format.ts";
import { readSplitstream, type Splitstream } from "../../../../src/core/splitstream/splitstream-reader.ts";
import { SplitstreamWriter } from "../../../../src/core/splitstream/splitstream-writer.ts";
import { latin1 } from "../../../builders/tar-blocks.ts";

const id = (letter: string, digits = 64) => letter.repeat(digits) as ObjectId;

/** Not a compressor: bytes with a mark in front, so that a section that was not unpacked is seen. */
const compress = (bytes: Uint8Array) => new Uint8Array([0x5a, ...bytes]);
const decompress = (bytes: Uint8Array, limitBytes: number) => {
  expect(bytes[0]).toBe(0x5a);
  if (bytes.length - 1 > limitBytes) throw new OsdeployError("limit-exceeded", "Cannot unpack: too much");
  return bytes.subarray(1);
};

const read = (file: Uint8Array) => readSplitstream(file, { decompress });
const show = (stream: Splitstream) =>
  [...stream.records()].map((record) =>
    record.kind === "object" ? record.id[0] : Buffer.from(record.bytes).toString("latin1"),
  );

function sample(): Uint8Array {
  const writer = new SplitstreamWriter("sha256", "layer");
  writer.addInline(latin1("head"));
  writer.addInline(latin1("er"));
  writer.addInline(new Uint8Array(0));
  writer.addObject(id("b"), 100n);
  writer.addObject(id("a"), 5_000_000_000n);
  writer.addInline(latin1("tail"));
  writer.addObject(id("b"), 100n);
  writer.addNamedRef("sha256:2", id("e"));
  writer.addNamedRef("sha256:1", id("d"));
  writer.addNamedRef("other:1", id("e"));
  return writer.finish(compress);
}

test("splitstream: records, refs and names come back", () => {
  const stream = read(sample());
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
  expect(show(stream)).toEqual(["header", "b", "a", "tail", "b"]);
});

test("splitstream: has the bytes that other programs read", () => {
  const writer = new SplitstreamWriter("sha512", "blob");
  writer.addObject(id("c", 128), 70n);
  writer.addInline(latin1("xy"));
  writer.addNamedRef("config:é", id("f", 128));
  const file = Buffer.from(writer.finish(compress));
  const number = (offset: number) => Number(file.readBigUInt64LE(offset));
  expect(read(file).algorithm).toBe("sha512");
  expect(read(file).objectRefs).toEqual([id("c", 128)]);
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

test("splitstream: names sort as bytes, not as UTF-16", () => {
  const writer = new SplitstreamWriter("sha256", "manifest");
  writer.addNamedRef("\u{10000}", id("a"));
  writer.addNamedRef("\uffff", id("b"));
  writer.addNamedRef("same", id("c"));
  writer.addNamedRef("same", id("d"));
  expect([...read(writer.finish(compress)).namedRefs]).toEqual([
    ["same", id("d")],
    ["\uffff", id("b")],
    ["\u{10000}", id("a")],
  ]);
});

test("splitstream: an empty one has no records", () => {
  const stream = read(new SplitstreamWriter("sha256", "config").finish(compress));
  expect([stream.content, stream.sizeBytes, ...stream.records()]).toEqual(["config", 0n]);
});

test("splitstream: inline bytes grow as far as needed", () => {
  const writer = new SplitstreamWriter("sha256", "layer");
  const block = new Uint8Array(50_000).fill(7);
  for (let i = 0; i < 5; i++) writer.addInline(block);
  writer.addInline(new Uint8Array(600_000).fill(8));
  const [record, ...rest] = read(writer.finish(compress)).records();
  expect(rest).toEqual([]);
  expect(record?.kind === "inline" && [record.bytes.length, record.bytes[249_999], record.bytes[250_000]]).toEqual([
    850_000, 7, 8,
  ]);
});

test("splitstream: the header of former versions is read as well", () => {
  const file = sample();
  const former = file.slice();
  former.copyWithin(formerLayout.info, 16, 32);
  former.set(file.subarray(12, 14), formerLayout.flags);
  former.set(file.subarray(0, 11), formerLayout.magic);
  former.set(file.subarray(11, 12), formerLayout.version);
  former.set(file.subarray(14, 16), formerLayout.algorithm);
  expect(show(read(former))).toEqual(show(read(file)));
  expect(read(former).namedRefs).toEqual(read(file).namedRefs);
});

test("splitstream: works on a view into a larger buffer", () => {
  const file = sample();
  const larger = new Uint8Array(file.length + 24);
  larger.set(file, 11);
  expect(show(read(larger.subarray(11, 11 + file.length)))).toEqual(["header", "b", "a", "tail", "b"]);
});

test("splitstream: unknown contents are told, sections of no bytes are not unpacked", () => {
  const file = sample();
  file.set(latin1("ocilayr2"), 96);
  const view = new DataView(file.buffer);
  view.setBigUint64(88, view.getBigUint64(80, true), true);
  const stream = read(file);
  expect(stream.content).toBe("other");
  expect(stream.namedRefs.size).toBe(0);
});

test("splitstream: limits what the stream may unpack to", () => {
  const stream = readSplitstream(sample(), { decompress, maxStreamBytes: 10 });
  expect(() => [...stream.records()]).toThrow(expect.objectContaining({ code: "limit-exceeded" }));
});

const huge = 2n ** 63n + 5n;

test.each<[string, (file: Uint8Array, view: DataView) => unknown, string]>([
  ["too short", (file) => file.subarray(0, 31), "it is too short"],
  ["no magic", (file) => file.fill(0, 0, 5), "does not start like one"],
  ["version", (file) => file.fill(1, 11, 12), "version 1"],
  ["algorithm", (file) => file.fill(3, 14, 15), "algorithm 3"],
  ["block size", (file) => file.fill(16, 15, 16), "blocks are not of 4096"],
  ["info outside", (_, view) => view.setBigUint64(24, huge, true), "its info are not inside the file"],
  ["info short", (_, view) => view.setBigUint64(24, 111n, true), "its info is too short"],
  ["range backwards", (_, view) => view.setBigUint64(32, 200n, true), "its stream refs are not inside"],
  ["refs cut", (_, view) => view.setBigUint64(40, 175n, true), "no whole digests"],
  ["object refs outside", (_, view) => view.setBigUint64(56, huge, true), "its object refs are not inside"],
  ["stream outside", (_, view) => view.setBigUint64(72, huge, true), "its stream are not inside"],
  ["names outside", (_, view) => view.setBigUint64(88, huge, true), "its named refs are not inside"],
])("splitstream: refuses damage: %s", (_, damage, message) => {
  const file = sample();
  const cut = damage(file, new DataView(file.buffer));
  const damaged = cut instanceof Uint8Array && cut.length < file.length ? cut : file;
  expect(() => read(damaged)).toThrow(
    expect.objectContaining({ code: "damaged", message: expect.stringContaining(message) }),
  );
});

test.each([
  ["0:a", "no NUL at the end"],
  ["2:a\0", "an index beyond the refs"],
  ["a\0", "no index"],
  ["-1:a\0", "a negative index"],
])("splitstream: refuses named refs with %j: %s", (text) => {
  const lie = (bytes: Uint8Array, limitBytes: number) =>
    bytes[1] === 0x30 ? latin1(text) : decompress(bytes, limitBytes);
  expect(() => readSplitstream(sample(), { decompress: lie })).toThrow(expect.objectContaining({ code: "damaged" }));
});

test.each([
  ["0000000000000000ff", "ends within a record"],
  ["0200000000000000", "names object 2 of 2"],
  ["ffffffffffffff7f", "names object 9223372036854775807 of 2"],
  ["fdffffffffffffff7879", "ends within inline bytes"],
  ["0000000000000080", "ends within inline bytes"],
])("splitstream: refuses the records %s", (hex, message) => {
  const lie = (bytes: Uint8Array, limitBytes: number) =>
    bytes[1] === 0x30 ? decompress(bytes, limitBytes) : new Uint8Array(Buffer.from(hex, "hex"));
  expect(() => [...readSplitstream(sample(), { decompress: lie }).records()]).toThrow(message);
});

test("splitstream: ids are written as they are read", () => {
  const writer = new SplitstreamWriter("sha256", "layer");
  const mixed = "0123456789abcdef".repeat(4) as ObjectId;
  writer.addObject(mixed, 1n);
  expect(read(writer.finish(compress)).objectRefs).toEqual([mixed]);
});
