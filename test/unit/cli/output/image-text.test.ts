import { expect, test } from "vitest";
import { imagesText, mountText, pullText } from "../../../../src/cli/output/image-text.ts";
import { parseObjectId } from "../../../../src/core/digest/object-id.ts";
import { parseConfigDigest, parseManifestDigest } from "../../../../src/core/digest/oci-digest.ts";

const rootImage = parseObjectId("ab".repeat(32), "sha256");
const digest = `sha256:${"cd".repeat(32)}`;

test("imagesText: an empty repo is told in words", () => {
  expect(imagesText([])).toBe("There is no image in the repo\n");
});

test("imagesText: a damaged image is listed, with what is wrong below", () => {
  const unknown = { platform: null, version: null, created: null, layers: null, sizeBytes: null };
  const image = {
    ...{ tag: "os:1\x1b", manifestDigest: parseManifestDigest(digest), configDigest: null, ...unknown },
    ...{ rawImage: null, bootImage: null, problem: "Cannot read stream x: it is damaged" },
  };
  expect(imagesText([image])).toBe(
    "IMAGE     VERSION  PLATFORM  CREATED  LAYERS  SIZE  BOOTABLE  DIGEST\n" +
      "os:1\\x1b  -        -         -             -     -  no        cdcdcdcdcdcd\n" +
      "Problem: os:1\\x1b: Cannot read stream x: it is damaged\n",
  );
});

test("pullText: objects that were mended are told", () => {
  const pulled = {
    ...{ image: "docker://os:1", tag: "os:1", manifestDigest: parseManifestDigest(digest) },
    ...{ configDigest: parseConfigDigest(digest), rawImage: rootImage, bootImage: rootImage },
    ...{ layers: [], addedObjects: 0, addedBytes: 0, repaired: [rootImage], sealedBy: [] },
  };
  expect(pullText(pulled)).toContain(`Boot image: ${rootImage}\n`);
  expect(pullText(pulled)).toContain("Mended:     1 damaged object\n");
});

test("mountText: says whether the kernel checks", () => {
  expect(mountText({ rootImage, target: "/mnt", verity: true })).toBe(
    "Mounted abababababab on /mnt, read-only; the kernel checks every byte\n",
  );
  expect(mountText({ rootImage, target: "/mnt", verity: false })).toContain("without fs-verity");
});
