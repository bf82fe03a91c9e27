import fc from "fast-check";
import { expect, test } from "vitest";
import { OsdeployError } from "../../src/core/errors.ts";
import { checkDocumentType } from "../../src/core/oci/document-type.ts";
import { parseImageConfig } from "../../src/core/oci/image-config.ts";
import { parseIndex, parseOfferedImages } from "../../src/core/oci/image-index.ts";
import { parseDocument } from "../../src/core/oci/json.ts";
import { parseManifest } from "../../src/core/oci/manifest.ts";
import { formatImageReference, parseImageReference } from "../../src/core/oci/reference.ts";
import { parseChallenges } from "../../src/image-source/www-authenticate.ts";
import { buildImage, buildIndex } from "../builders/oci-image.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

/** Runs `read`, and lets pass only the errors that are meant for people. */
function survives(read: () => unknown): void {
  try {
    read();
  } catch (error) {
    if (!(error instanceof OsdeployError)) throw error;
    expect(error.message.length).toBeLessThan(2_000);
  }
}

test("parseDocument gives what JSON.parse gives, for all documents without repeated keys", () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 6 }), fc.constantFrom(undefined, 1, "\t"), (value, indent) => {
      const text = JSON.stringify(value, undefined, indent);
      expect(parseDocument(bytes(text), "d").value).toEqual(JSON.parse(text));
    }),
  );
});

test("parseDocument refuses every object that repeats one of its keys", () => {
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.jsonValue(), { minKeys: 1 }), fc.nat(), (object, pick) => {
      const keys = Object.keys(object);
      const members = keys.map((key) => `${JSON.stringify(key)}:${JSON.stringify(object[key])}`);
      const again = `${JSON.stringify(keys[pick % keys.length])}:0`;
      expect(() => parseDocument(bytes(`[{${[...members, again].join(",")}}]`), "d")).toThrow("twice");
    }),
  );
});

test("parseImageReference(formatImageReference(reference)) is reference, for all that is accepted", () => {
  const name = fc.stringMatching(/^(docker:\/\/|oci:|oci-archive:|docker-archive:|rootfs:)?[a-zA-Z0-9.:/@_-]{1,40}$/);
  fc.assert(
    fc.property(fc.oneof(name, fc.string()), (text) =>
      survives(() => {
        const reference = parseImageReference(text);
        expect(parseImageReference(formatImageReference(reference))).toEqual(reference);
      }),
    ),
    { numRuns: 2000 },
  );
});

test("documents with changed bytes are read or refused, and never break anything", async () => {
  const image = await buildImage({ layers: [[{ path: "usr/" }]], labels: { a: "b" }, annotations: { c: "d" } });
  const read = [
    [
      image.manifest,
      (place: ReturnType<typeof parseDocument>) => parseManifest(place, checkDocumentType(place, undefined).mediaType),
    ],
    [buildIndex([image]).index, parseIndex],
    [buildIndex([image]).index, parseOfferedImages],
  ] as const;
  const change = fc.record({ at: fc.nat(2_000), bytes: fc.uint8Array({ maxLength: 6 }), cut: fc.nat(20) });
  const changed = (document: Uint8Array, { at, bytes: put, cut }: { at: number; bytes: Uint8Array; cut: number }) =>
    Buffer.concat([document.subarray(0, at), put, document.subarray(at + cut)]);
  fc.assert(
    fc.property(change, (each) => {
      for (const [document, parse] of read) survives(() => parse(parseDocument(changed(document, each), "d")));
      survives(() => parseImageConfig(changed(image.config, each), "c"));
    }),
    { numRuns: 1000 },
  );
});

test("parseChallenges reads every text back that was quoted, whatever stands before it", () => {
  const quote = (text: string) => `"${text.replace(/["\\]/g, "\\$&")}"`;
  fc.assert(
    fc.property(fc.string({ unit: "binary-ascii" }), fc.stringMatching(/^[a-z]{1,8}$/), (text, scheme) => {
      fc.pre(!text.includes("\n") && !text.includes("\r"));
      expect(parseChallenges(`Other a=b, ${scheme} realm=${quote(text)}`)[1]).toEqual({
        scheme,
        parameters: new Map([["realm", text]]),
      });
    }),
  );
});
