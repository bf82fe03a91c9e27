import { expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import type { BundleDocument } from "../../../src/core/oci/bundle-document.ts";
import { bundleBridgedBytes } from "../../../src/core/oci/plan-bundle.ts";
import { openLayoutSource } from "../../../src/image-source/layout-source.ts";
import { base, bundle, images, kinds, top } from "../../builders/bundles.ts";
import { buildChunkedImage } from "../../builders/chunked-layer.ts";
import { layoutReference, linuxAmd64, machineWith } from "../../builders/operation-machine.ts";

const alone = { old: buildChunkedImage([top.v1]), new: buildChunkedImage([top.v2]) };

/** What a bundle of an image for those who have an older one says of itself, and the kinds of its layers. */
async function bundled(
  tag: string,
  older: string,
): Promise<{ readonly kinds: readonly string[]; readonly document: BundleDocument | undefined }> {
  const linux = machineWith({ ...images, ...alone });
  const result = await bundle(linux, { image: layoutReference(tag), bases: [layoutReference(older)] });
  const reference = { kind: "oci-archive", path: fromText("/b.tar"), choice: { kind: "only" } } as const;
  const source = openLayoutSource(reference, linux.files);
  await source.resolve(linuxAmd64);
  return { kinds: kinds(result), document: source.bundle() };
}

test("bundleImage: a bundle names the layers that it counts on, those that it leaves out and those with the rest of one", async () => {
  const { document } = await bundled("v2", "v1");
  expect(new Set(document?.countedOn)).toEqual(new Set([base.diffId, top.v1.diffId]));
  expect(document?.bridgedBytes).toBe(bundleBridgedBytes);
});

test.each([
  ["only parts", "new", "old", ["parts"], { absent: 0, parts: 1 }],
  ["nothing", "v1", "v1", ["absent", "absent"], { absent: 2, parts: 0 }],
])("bundleImage: a bundle of which there is %s says so", async (_, tag, older, expected, sizes) => {
  const found = await bundled(tag, older);
  expect(found.kinds).toEqual(expected);
  expect({ absent: found.document?.absent.size, parts: found.document?.parts.size }).toEqual(sizes);
});
