import { expect, test } from "vitest";
import { member, optional } from "../../../../src/core/oci/json-place.ts";

const place = (value: unknown) => ({ document: "manifest m", path: "", value });

test.each([
  ["layers", "Layers"],
  ["layers", "LAYERS"],
  ["mediaType", "mediatype"],
  // Go takes these for an s and a k.
  ["digests", "dige\u017fts"],
  ["key", "\u212aey"],
])("optional: refuses %s beside %s, of which programs in Go take either", (key, other) => {
  const refusal = `Cannot read manifest m: it has the key "${other}", which some read as "${key}"`;
  expect(() => optional(place({ [key]: 1, [other]: 2 }), key)).toThrow(refusal);
  expect(() => optional(place({ [other]: 2 }), key)).toThrow(refusal);
  expect(() => member(place({ [other]: 2 }), key)).toThrow(expect.objectContaining({ code: "bad-format" }));
});

test("optional: other keys are nobody's business", () => {
  const fields = { layers: 1, layer: 2, "layers ": 3, "l\u00e4yers": 4, Config: 5, config: 6 };
  expect(optional(place(fields), "layers")?.value).toBe(1);
});
