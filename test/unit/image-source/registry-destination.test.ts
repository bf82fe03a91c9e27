import { afterEach, beforeAll, expect, test } from "vitest";
import { parseLayerDigest, parseManifestDigest } from "../../../src/core/digest/oci-digest.ts";
import { parseImageReference } from "../../../src/core/oci/reference.ts";
import type { ImageDestination } from "../../../src/image-source/image-destination.ts";
import { openImageDestination } from "../../../src/image-source/open-image-destination.ts";
import { machineWithFiles } from "../../builders/configuration.ts";
import { type BuiltImage, buildImage } from "../../builders/oci-image.ts";
import { FakeRegistry, type FakeRegistryOptions } from "../../fakes/fake-registry.ts";

const open: { stop(): Promise<void> }[] = [];
let image: BuiltImage;

beforeAll(async () => {
  image = await buildImage({ layers: [[{ path: "a", content: "one" }]] });
});

afterEach(async () => {
  for (const each of open.splice(0)) await each.stop();
});

async function start(options: FakeRegistryOptions = {}): Promise<FakeRegistry> {
  const registry = await FakeRegistry.start(options);
  open.push(registry);
  return registry;
}

async function destinationAt({ host }: FakeRegistry, more: object = {}): Promise<ImageDestination> {
  const linux = machineWithFiles({ "/tmp/x": "" });
  const destination = await openImageDestination(parseImageReference(`docker://${host}/os:v1`), linux, {
    ...{ environment: { variables: { TMPDIR: "/tmp" }, userId: 0 }, retry: { tries: 1, delayMs: 1 } },
    ...more,
  });
  open.push({ stop: () => destination.close() });
  return destination;
}

/** Sends the layer of the image. */
async function sendLayer(destination: ImageDestination): Promise<void> {
  const [layer] = image.layers;
  if (layer === undefined) throw new Error("the image has a layer");
  const { digest, blob, mediaType } = layer;
  const described = { mediaType, digest: parseLayerDigest(digest), sizeBytes: blob.length, annotations: new Map() };
  await destination.putBlob(described, async function* () {
    yield blob;
  });
}

const user = { name: "ann", password: "s3cret" };
const credentials = { user: user.name, password: user.password };

test("RegistryDestination: asks for a token to push", async () => {
  const registry = await start({ auth: "token", user });
  await sendLayer(await destinationAt(registry, { credentials }));
  const token = registry.requests.find(({ path }) => path.startsWith("/token"));
  expect(new URLSearchParams(token?.path.split("?")[1]).get("scope")).toBe("repository:os:pull,push");
});

test.each([
  ["an address without its host", "/upload/8?state=y", "/upload/8?state=y&digest="],
  ["an address without a question", "/upload/9", "/upload/9?digest="],
])("RegistryDestination: a blob goes to where the registry wants it: %s", async (_, location, expected) => {
  const registry = await start({ faults: [{ path: /uploads/, status: 202, headers: { location } }] });
  await sendLayer(await destinationAt(registry));
  const digest = encodeURIComponent(image.layers[0]?.digest ?? "");
  expect(registry.requests.at(-1)).toMatchObject({ method: "PUT", path: `${expected}${digest}` });
});

test("RegistryDestination: a blob that goes to another host goes there without Authorization", async () => {
  const other = await start();
  const location = `http://${other.host}/upload/7?state=x`;
  const registry = await start({
    ...{ auth: "token", user, faults: [{ path: /uploads/, times: 2, status: 202, headers: { location } }] },
  });
  const destination = await destinationAt(registry, { credentials });
  const digest = parseManifestDigest(image.manifestDigest);
  // So that there is a token.
  expect(await destination.hasBlob({ mediaType: "", digest, sizeBytes: 1, annotations: new Map() })).toBe(false);
  await sendLayer(destination);
  expect(other.requests).toMatchObject([{ method: "PUT", authorization: undefined }]);
});

test.each([300, 304, 307])("RegistryDestination: %i is no sign that something was taken", async (status) => {
  const headers = { location: "/elsewhere" };
  const documents = await start({ faults: [{ path: /manifests/, status, headers }] });
  const digest = parseManifestDigest(image.manifestDigest);
  const manifest = { mediaType: image.manifestType, digest, bytes: image.manifest };
  const platform = { os: "linux", architecture: "amd64", variant: undefined };
  await expect((await destinationAt(documents)).commit({ manifest, platform })).rejects.toMatchObject({
    facts: { status },
  });
  const blobs = await start({ faults: [{ path: /upload\/7/, status, headers }] });
  await expect(sendLayer(await destinationAt(blobs))).rejects.toMatchObject({ facts: { status } });
});
