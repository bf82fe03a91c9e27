import { gzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { compressionOf, tellingBytes } from "../../../../src/core/oci/layer-compression.ts";
import type { Compression } from "../../../../src/core/oci/media-type.ts";
import { compressZstd } from "../../../../src/linux/zstd-encoder.ts";
import { buildTar } from "../../../builders/oci-layer.ts";

const tar = await buildTar([{ path: "usr/" }]);
const promises: readonly Compression[] = ["none", "gzip", "zstd"];
const text = (length: number) => Buffer.alloc(length, "no layer at all ");
const skippable = Buffer.from("532a4d1805000000", "hex");

test.each(promises)("compressionOf: what the bytes are counts, whatever is promised (%s)", (promised) => {
  expect(compressionOf(tar.subarray(0, tellingBytes), promised)).toBe("none");
  expect(compressionOf(new Uint8Array(tellingBytes), promised)).toBe("none");
  expect(compressionOf(gzipSync(tar).subarray(0, 3), promised)).toBe("gzip");
  expect(compressionOf(compressZstd(tar).subarray(0, 4), promised)).toBe("zstd");
});

test.each(promises)("compressionOf: of what nobody knows the promise is kept (%s)", (promised) => {
  expect(compressionOf(text(tellingBytes), promised)).toBe(promised);
});

test("compressionOf: a skippable frame is zstd where that is promised, and else the start of a name", () => {
  expect(compressionOf(skippable, "zstd")).toBe("zstd");
  expect(compressionOf(skippable, "none")).toBe("none");
});

test.each([
  ["gzip or a name", [0x1f, 0x8b], "none"],
  ["zstd or a name", [0x28, 0xb5, 0x2f], "none"],
  ["half a block", [...text(tellingBytes - 1)], "gzip"],
  ["half a block", [...tar.subarray(0, tellingBytes - 1)], "zstd"],
] as const)("compressionOf: %s says too little", (_, start, promised) => {
  expect(compressionOf(Uint8Array.from(start), promised)).toBeUndefined();
});
