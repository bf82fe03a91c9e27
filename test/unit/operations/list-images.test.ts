import { expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { listImages } from "../../../src/operations/list-images.ts";
import { layoutReference, machineWithRepo, repoOfSysroot, systemOn } from "../../builders/operation-machine.ts";
import { storeOs } from "../../builders/stored-os.ts";

const { linux, images } = await storeOs({ verity: false });
const list = () => listImages(systemOn(linux), { repo: repoOfSysroot });

test("listImages: tells all tags in order, with what their documents say", async () => {
  const [data, v1, v2] = await list();
  expect(v1).toEqual({
    tag: layoutReference("v1"),
    manifestDigest: images.v1.manifestDigest,
    configDigest: images.v1.configDigest,
    platform: "linux/amd64",
    version: "v1",
    created: "2024-01-02T03:04:05Z",
    layers: 2,
    sizeBytes: images.v1.layers.reduce((sum, { blob }) => sum + blob.length, 0),
    rawImage: expect.stringMatching(/^[0-9a-f]{128}$/),
    bootImage: expect.stringMatching(/^[0-9a-f]{128}$/),
    problem: null,
  });
  expect(data).toMatchObject({ tag: layoutReference("data"), version: null, bootImage: null });
  expect(v2).toMatchObject({ tag: layoutReference("v2"), version: "v2" });
});

test("listImages: is empty for a new repo", async () => {
  expect(await listImages(systemOn(await machineWithRepo({})), { repo: repoOfSysroot })).toEqual([]);
});

test("listImages: lists a damaged image with its problem, and all others", async () => {
  const machine = linux.crash({ keepUnsynced: true });
  const stream = machine.files.readLink(fromText(`${repoOfSysroot}/streams/oci-manifest-${images.v1.manifestDigest}`));
  machine.damage(fromText(`${repoOfSysroot}/streams/${stream}`), 40);
  const [data, v1, v2] = await listImages(systemOn(machine), { repo: repoOfSysroot });
  expect(v1).toMatchObject({
    tag: layoutReference("v1"),
    manifestDigest: images.v1.manifestDigest,
    configDigest: null,
    layers: null,
    problem: expect.stringMatching(/^Cannot /),
  });
  expect([data?.problem, v2?.problem]).toEqual([null, null]);
});
