import { expect, test } from "vitest";
import { downloadWords, newFilesWords, planText } from "../../../../src/cli/output/plan-text.ts";
import { parseLayerDigest, parseManifestDigest } from "../../../../src/core/digest/oci-digest.ts";

const hex = "0123456789ab".padEnd(64, "0");

test("planText: a line for each layer, and says what is a bound", () => {
  const layer = { digest: parseLayerDigest(`sha256:${hex}`), sizeBytes: 2_000_000 };
  const text = planText({
    ...{ image: "oci:/x\u001b:t", manifestDigest: parseManifestDigest(`sha256:${hex}`), version: null },
    layers: [
      { ...layer, kind: "known", downloadBytes: 0 },
      { ...layer, kind: "chunked", downloadBytes: 1000 },
      { ...layer, kind: "chunked", downloadBytes: 2_000_000 },
      { ...layer, kind: "whole", downloadBytes: 2_000_000 },
    ],
    ...{ downloadBytes: 4_001_000, isDownloadBound: true, newObjects: 2, newBytes: 3000, uncountedLayers: 1 },
  });
  expect(text).not.toContain("\u001b");
  expect(text.split("\n").slice(1)).toEqual([
    `Digest:    sha256:${hex}`,
    "Download:  at most 4.0 MB",
    "New files: at most 2 objects (3.0 kB), and what is in 1 layer without a table of contents",
    "",
    "LAYER           SIZE  DOWNLOAD  HOW",
    "0123456789ab  2.0 MB       0 B  here already",
    "0123456789ab  2.0 MB    1.0 kB  comes in parts",
    "0123456789ab  2.0 MB    2.0 MB  comes whole",
    "0123456789ab  2.0 MB    2.0 MB  comes whole",
    "",
  ]);
});

test("downloadWords and newFilesWords: exact, bounded, unknown", () => {
  expect(downloadWords({ downloadBytes: 5, isDownloadBound: false })).toBe("5 B");
  const none = { newObjects: 0, newBytes: 0 };
  expect(newFilesWords({ ...none, uncountedLayers: 0 })).toBe("at most 0 objects (0 B)");
  expect(newFilesWords({ ...none, uncountedLayers: 2 })).toBe(
    "unknown before they are here: 2 layers without a table of contents",
  );
});
