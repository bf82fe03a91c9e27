import { afterEach, beforeAll, expect, test } from "vitest";
import type { BuiltImage } from "../../builders/oci-image.ts";
import { buildNoiseImage, layerOf, OpenSources, readAll } from "../../builders/oci-source.ts";

let image: BuiltImage;
const open = new OpenSources();

beforeAll(async () => {
  image = await buildNoiseImage();
});

afterEach(() => open.stop());

test.each([
  ["from its start on", 5000],
  ["from before its start on", 4000],
])(
  "downloadBlob: of an answer that goes on behind the part that was asked for, %s, that part is given",
  async (_, from) => {
    const [layer] = image.layers;
    const blob = Buffer.from(layer?.blob ?? []);
    const answer = {
      ...{ status: 206, headers: { "content-range": `bytes ${from}-${blob.length - 1}/${blob.length}` } },
      body: blob.subarray(from).toString("latin1"),
    };
    const registry = await open.registry(image);
    const source = open.source(registry);
    const resolved = await layerOf(source);
    registry.faults.push({ path: new RegExp(layer?.digest ?? ""), times: 1, ...answer });
    const part = await readAll(source.readBlobRange(resolved, { offsetBytes: 5000, lengthBytes: 700 }));
    expect(part).toEqual(blob.subarray(5000, 5700));
    expect(registry.requests.at(-1)?.range).toBe("bytes=5000-5699");
  },
);
