import { expect, test } from "vitest";
import { type LayerOffer, planTransfer } from "../../../../src/core/deployment/plan-transfer.ts";
import { parseLayerDigest } from "../../../../src/core/digest/oci-digest.ts";

const digest = (letter: string) => parseLayerDigest(`sha256:${letter.repeat(64)}`);
const known: LayerOffer = { kind: "known", digest: digest("a"), sizeBytes: 1000 };
const whole: LayerOffer = { kind: "whole", digest: digest("b"), sizeBytes: 500, keptBytes: 0 };
const content = (name: string, sizeBytes: number, isKnown = false) => ({ digest: name, sizeBytes, known: isKnown });
const chunked: LayerOffer = {
  ...{ kind: "chunked", digest: digest("c"), sizeBytes: 900 },
  download: { inParts: true, leastBytes: 110, mostBytes: 120 },
  contents: [content("x", 80), content("x", 80), content("y", 70, true)],
};

test("planTransfer: exact where layers are known or come whole, but nobody knows what those bring", () => {
  expect(planTransfer([known, whole, whole])).toEqual({
    layers: [
      { digest: known.digest, kind: "known", inParts: false, sizeBytes: 1000, downloadBytes: 0 },
      { digest: whole.digest, kind: "whole", inParts: false, sizeBytes: 500, downloadBytes: 500 },
      { digest: whole.digest, kind: "whole", inParts: false, sizeBytes: 500, downloadBytes: 500 },
    ],
    ...{ downloadBytes: 500, leastDownloadBytes: 500, isDownloadBound: false },
    ...{ newObjects: 0, newBytes: 0, uncountedLayers: 1 },
  });
});

test("planTransfer: of a layer with a table the missing parts, and each new content once", () => {
  const plan = planTransfer([chunked]);
  expect(plan).toMatchObject({
    ...{ downloadBytes: 120, leastDownloadBytes: 110, isDownloadBound: true },
    ...{ newObjects: 1, newBytes: 80, uncountedLayers: 0 },
  });
  expect(plan.layers).toMatchObject([{ kind: "chunked", inParts: true, downloadBytes: 120 }]);
});

test("planTransfer: what a pull before has fetched need not come again", () => {
  expect(planTransfer([{ ...whole, keptBytes: 200 }])).toMatchObject({ downloadBytes: 300, isDownloadBound: false });
});
