import { expect, test } from "vitest";
import { formerLayout } from "../../../../src/core/splitstream/splitstream-format.ts";
import { readSplitstream } from "../../../../src/core/splitstream/splitstream-reader.ts";
import { decompress, readStream, sampleStream, showRecords } from "../../../builders/splitstreams.ts";
import { latin1 } from "../../../builders/tar-blocks.ts";

test("readSplitstream: the header of former versions is read as well", () => {
  const file = sampleStream();
  const former = file.slice();
  former.copyWithin(formerLayout.info, 16, 32);
  former.set(file.subarray(12, 14), formerLayout.flags);
  former.set(file.subarray(0, 11), formerLayout.magic);
  former.set(file.subarray(11, 12), formerLayout.version);
  former.set(file.subarray(14, 16), formerLayout.algorithm);
  expect(showRecords(readStream(former))).toEqual(showRecords(readStream(file)));
  expect(readStream(former).namedRefs).toEqual(readStream(file).namedRefs);
});

test("readSplitstream: works on a view into a larger buffer", () => {
  const file = sampleStream();
  const larger = new Uint8Array(file.length + 24);
  larger.set(file, 11);
  expect(showRecords(readStream(larger.subarray(11, 11 + file.length)))).toEqual(["header", "b", "a", "tail", "b"]);
});

test("readSplitstream: unknown contents are told, sections of no bytes are not unpacked", () => {
  const file = sampleStream();
  file.set(latin1("ocilayr2"), 96);
  const view = new DataView(file.buffer);
  view.setBigUint64(88, view.getBigUint64(80, true), true);
  const stream = readStream(file);
  expect(stream.content).toBe("other");
  expect(stream.namedRefs.size).toBe(0);
});

test("readSplitstream: limits what the stream may unpack to", () => {
  const stream = readSplitstream(sampleStream(), { decompress, maxStreamBytes: 10 });
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
])("readSplitstream: refuses damage: %s", (_, damage, message) => {
  const file = sampleStream();
  const cut = damage(file, new DataView(file.buffer));
  const damaged = cut instanceof Uint8Array && cut.length < file.length ? cut : file;
  expect(() => readStream(damaged)).toThrow(
    expect.objectContaining({ code: "damaged", message: expect.stringContaining(message) }),
  );
});

test.each([
  ["0:a", "no NUL at the end"],
  ["2:a\0", "an index beyond the refs"],
  ["a\0", "no index"],
  ["-1:a\0", "a negative index"],
])("readSplitstream: refuses named refs with %j: %s", (text) => {
  const lie = (bytes: Uint8Array, limitBytes: number) =>
    bytes[1] === 0x30 ? latin1(text) : decompress(bytes, limitBytes);
  expect(() => readSplitstream(sampleStream(), { decompress: lie })).toThrow(
    expect.objectContaining({ code: "damaged" }),
  );
});

test.each([
  ["0000000000000000ff", "ends within a record"],
  ["0200000000000000", "names object 2 of 2"],
  ["ffffffffffffff7f", "names object 9223372036854775807 of 2"],
  ["fdffffffffffffff7879", "ends within inline bytes"],
  ["0000000000000080", "ends within inline bytes"],
])("readSplitstream: refuses the records %s", (hex, message) => {
  const lie = (bytes: Uint8Array, limitBytes: number) =>
    bytes[1] === 0x30 ? decompress(bytes, limitBytes) : new Uint8Array(Buffer.from(hex, "hex"));
  expect(() => [...readSplitstream(sampleStream(), { decompress: lie }).records()]).toThrow(message);
});
