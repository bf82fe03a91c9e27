import { expect, test } from "vitest";
import { fileLine, segmentLine } from "../../../../src/core/zstd-chunked/tar-split-text.ts";

test("segmentLine and fileLine: as Go writes them", () => {
  expect(segmentLine(new Uint8Array([1, 255]), 3)).toBe('{"type":2,"payload":"Af8=","position":3}\n');
  expect(fileLine({ name: "a<", sizeBytes: 0, checksum: undefined }, 4)).toBe(
    '{"type":1,"name":"a\\u003c","payload":null,"position":4}\n',
  );
  expect(fileLine({ name: "b", sizeBytes: 3, checksum: new Uint8Array(8) }, 5)).toBe(
    '{"type":1,"name":"b","size":3,"payload":"AAAAAAAAAAA=","position":5}\n',
  );
});
