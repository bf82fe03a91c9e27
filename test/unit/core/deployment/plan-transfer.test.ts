import { expect, test } from "vitest";
import { type LayerOffer, planTransfer } from "../../../../src/core/deployment/plan-transfer.ts";
import { parseLayerDigest } from "../../../../src/core/digest/oci-digest.ts";

const digest = (letter: string) => parseLayerDigest(`sha256:${letter.repeat(64)}`);
const known: LayerOffer = { kind: "known", digest: digest("a"), sizeBytes: 1000 };
const whole: LayerOffer = { kind: "whole", digest: digest("b"), sizeBytes: 500 };
const content = (name: string, sizeBytes: number, isKnown = false) => ({ digest: name, sizeBytes, known: isKnown });
const chunked: LayerOffer = {
  ...{ kind: "chunked", digest: digest("c"), sizeBytes: 900, tablesBytes: 20, missingBytes: 100 },
  contents: [content("x", 80), content("x", 80), content("y", 70, true)],
};

test("planTransfer: exact where layers are known or come whole, but nobody knows what those bring", () => {
  expect(planTransfer([known, whole, whole])).toEqual({
    layers: [
      { digest: known.digest, kind: "known", sizeBytes: 1000, downloadBytes: 0 },
      { digest: whole.digest, kind: "whole", sizeBytes: 500, downloadBytes: 500 },
      { digest: whole.digest, kind: "whole", sizeBytes: 500, downloadBytes: 500 },
    ],
    ...{ downloadBytes: 500, isDownloadBound: false, newObjects: 0, newBytes: 0, uncountedLayers: 1 },
  });
});

test("planTransfer: of a layer with a table the missing parts, and each new content once", () => {
  expect(planTransfer([chunked])).toMatchObject({
    ...{ downloadBytes: 120, isDownloadBound: true, newObjects: 1, newBytes: 80, uncountedLayers: 0 },
  });
});

test("planTransfer: parts that are no less than the whole count as the whole", () => {
  const all: LayerOffer = { ...chunked, missingBytes: 890 };
  expect(planTransfer([all])).toMatchObject({ downloadBytes: 900, isDownloadBound: false });
});
