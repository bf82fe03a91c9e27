import type { ObjectId } from "../../src/core/digest/object-id.ts";
import { OsdeployError } from "../../src/core/errors.ts";
import { readSplitstream, type Splitstream } from "../../src/core/splitstream/splitstream-reader.ts";
import { SplitstreamWriter } from "../../src/core/splitstream/splitstream-writer.ts";
import { latin1 } from "./tar-blocks.ts";

/** An object id of this one digit. */
export const id = (letter: string, digits = 64) => letter.repeat(digits) as ObjectId;

/** Not a compressor: bytes with a mark in front, so that a section that was not unpacked is seen. */
export const compress = (bytes: Uint8Array) => new Uint8Array([0x5a, ...bytes]);

/** The way back of {@link compress}. */
export const decompress = (bytes: Uint8Array, limitBytes: number): Uint8Array => {
  if (bytes[0] !== 0x5a) throw new Error("A section that was not packed is to be unpacked");
  if (bytes.length - 1 > limitBytes) throw new OsdeployError("limit-exceeded", "Cannot unpack: too much");
  return bytes.subarray(1);
};

/** Reads a splitstream whose sections {@link compress} packed. */
export const readStream = (file: Uint8Array) => readSplitstream(file, { decompress });
/** Inline bytes as they are, objects by their first digit. */
export const showRecords = (stream: Splitstream) =>
  [...stream.records()].map((record) =>
    record.kind === "object" ? record.id[0] : Buffer.from(record.bytes).toString("latin1"),
  );

/** A splitstream with everything: inline bytes, an object twice, named refs. */
export function sampleStream(): Uint8Array {
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
