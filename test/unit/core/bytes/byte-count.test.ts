import { expect, test } from "vitest";
import { countBytes, formatBytes } from "../../../../src/core/bytes/byte-count.ts";

test.each([
  [0, "0 B"],
  [999, "999 B"],
  [1000, "1.0 kB"],
  [99_949, "99.9 kB"],
  [99_950, "100 kB"],
  [999_499, "999 kB"],
  [999_500, "1.0 MB"],
  [577_000_000, "577 MB"],
  [18446744073709551615n, "18.4 EB"],
])("formatBytes: %s is %s", (bytes, text) => {
  expect(formatBytes(bytes)).toBe(text);
});

test.each([
  [0, "0 bytes"],
  [999, "999 bytes"],
  [4_901_044_224, "4901044224 bytes (4.9 GB)"],
])("countBytes: %s is %s", (bytes, text) => {
  expect(countBytes(bytes)).toBe(text);
});
