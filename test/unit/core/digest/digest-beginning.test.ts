import { expect, test } from "vitest";
import { digestsBeginning } from "../../../../src/core/digest/digest-beginning.ts";
import { parseManifestDigest } from "../../../../src/core/digest/oci-digest.ts";

const short = parseManifestDigest(`sha256:${"ab".repeat(32)}`);
const long = parseManifestDigest(`sha512:${"ab".repeat(64)}`);

test.each([
  ["abab", [true, true]],
  ["sha256:abab", [true, false]],
  ["sha512:abab", [false, true]],
  [short, [true, false]],
  [long, [false, true]],
  ["ab".repeat(33), [false, true]],
  ["baba", [false, false]],
])("digestsBeginning: %s", (words, meant) => {
  expect([short, long].map((digest) => digestsBeginning(words)?.(digest))).toEqual(meant);
});

test.each(["", "aba", "sha256:", "sha256:aba", "ABAB", "abag", "md5:abab", `${short}a`, `${long}a`, "ab".repeat(65)])(
  "digestsBeginning: '%s' is no beginning of a digest",
  (words) => {
    expect(digestsBeginning(words)).toBeUndefined();
  },
);
