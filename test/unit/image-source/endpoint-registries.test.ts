import { afterEach, beforeAll, describe, expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { parseManifestDigest } from "../../../src/core/digest/oci-digest.ts";
import { parseImageReference } from "../../../src/core/oci/reference.ts";
import type { ImageSource } from "../../../src/image-source/image-source.ts";
import { openImageSource, type SourceOptions } from "../../../src/image-source/open-image-source.ts";
import { machineWithFiles } from "../../builders/configuration.ts";
import type { BuiltImage } from "../../builders/oci-image.ts";
import { amd64, buildNoiseImage, layerOf, OpenSources, readAll } from "../../builders/oci-source.ts";
import type { FakeLinuxOptions } from "../../fakes/fake-linux.ts";
import type { FakeRegistry } from "../../fakes/fake-registry.ts";

let image: BuiltImage;
const open = new OpenSources();
const environment = { variables: { HOME: "/root" }, userId: 0 };

beforeAll(async () => {
  image = await buildNoiseImage();
});

afterEach(() => open.stop());

/** A source on a machine with this registries.conf, and perhaps more files. */
function sourceWith(
  conf: string,
  reference: string,
  options: Partial<SourceOptions> = {},
  files: Readonly<Record<string, unknown>> = {},
): ImageSource {
  const linux = machineWithFiles({ "/etc/containers/registries.conf": conf, ...files });
  const patience = {
    retry: { tries: 2, delayMs: 1 },
    timeouts: { connectMs: 2_000, headersMs: 2_000, idleMs: 2_000 },
  };
  return open.add(openImageSource(parseImageReference(reference), linux, { environment, ...patience, ...options }));
}

/** `quay.internal` is the registry `main`, with mirrors. */
function mirrored(main: FakeRegistry, ...mirrors: readonly { readonly host: string }[]): string {
  const tables = mirrors.map(({ host }) => `[[registry.mirror]]\nlocation = "${host}"\n`);
  return `[[registry]]\nprefix = "quay.internal"\nlocation = "${main.host}"\n${tables.join("")}`;
}

const blobsOf = (registry: FakeRegistry) => registry.requests.filter(({ path }) => path.includes("/blobs/"));
/** A place where nothing listens. */
const nowhere = { host: "127.0.0.1:1" };

describe("mirrors", () => {
  test("the first that delivers the manifest serves all else; the registry itself is not asked", async () => {
    const [main, mirror] = [await open.registry(image), await open.registry(image)];
    const source = sourceWith(mirrored(main, nowhere, mirror), "quay.internal/os:v1");
    expect((await source.resolve(amd64)).manifest.digest).toBe(image.manifestDigest);
    await readAll(source.openBlob(await layerOf(source)));
    expect(main.requests).toEqual([]);
    expect(blobsOf(mirror).length).toBeGreaterThan(1);
    expect(source.describe()).toBe("docker://quay.internal/os:v1");
    expect(source.registry()).toMatchObject({
      logical: { host: "quay.internal", repository: "os", tag: "v1" },
      physical: { host: mirror.host, repository: "os", tag: "v1" },
    });
  });

  test("a mirror in another repository of the registry itself: each is asked by its own name", async () => {
    const main = await open.registry(image);
    const conf = `[[registry]]\nprefix = "quay.internal/os"\nlocation = "${main.host}/os"\n[[registry.mirror]]\nlocation = "${main.host}/copies"\n`;
    await sourceWith(conf, "quay.internal/os:v1").resolve(amd64);
    const asked = main.requests.map(({ path }) => path).filter((path) => path.includes("/manifests/"));
    expect(asked).toEqual(["/v2/copies/manifests/v1", "/v2/os/manifests/v1"]);
  });

  test("what is beside an image is looked for where a rule leads to, and judged by its own name", async () => {
    const main = await open.registry(image);
    const conf = `[[registry]]\nprefix = "quay.internal/team"\nlocation = "${main.host}"\n`;
    const source = sourceWith(conf, "quay.internal/team/os:v1");
    await source.resolve(amd64);
    expect(source.registry()).toMatchObject({
      logical: { host: "quay.internal", repository: "team/os", tag: "v1" },
      physical: { host: main.host, repository: "os", tag: "v1" },
    });
  });

  test("the helpers that registries.conf names are asked for a login", async () => {
    const registry = await open.registry(image, { auth: "basic", user: { name: "ann", password: "s" } });
    const asked: string[] = [];
    const runProgram: FakeLinuxOptions["runProgram"] = ([program], options) => {
      asked.push(`${program} ${Buffer.from(options?.input ?? []).toString()}`);
      return { status: 0, stdout: Buffer.from('{"Username":"ann","Secret":"s"}'), stderr: "" };
    };
    const linux = machineWithFiles(
      { "/etc/containers/registries.conf": 'credential-helpers = ["ring"]\n' },
      { runProgram },
    );
    const source = open.add(openImageSource(parseImageReference(`${registry.host}/os:v1`), linux, { environment }));
    await source.resolve(amd64);
    expect(asked).toEqual([`docker-credential-ring ${registry.host}`]);
  });

  test("a tag and a digest: the digest is asked for, whatever the tag is", async () => {
    const registry = await open.registry(image);
    const source = sourceWith("", `${registry.host}/os:v9@${image.manifestDigest}`);
    expect((await source.resolve(amd64)).manifest.digest).toBe(image.manifestDigest);
  });

  test("a mirror without the image: the registry itself serves", async () => {
    const [main, mirror] = [await open.registry(image), await open.registry(image)];
    const source = sourceWith(mirrored(main, mirror), "quay.internal/os:v2");
    main.add(image, "v2");
    expect((await source.resolve(amd64)).manifest.digest).toBe(image.manifestDigest);
    expect(source.registry()?.physical.host).toBe(main.host);
    await readAll(source.openBlob(await layerOf(source)));
    expect(blobsOf(mirror)).toEqual([]);
  });

  test("a mirror that breaks in the middle of a blob: another place goes on from there", async () => {
    const main = await open.registry(image);
    const digest = image.layers[0]?.digest ?? "";
    const mirror = await open.registry(image, {
      faults: [{ path: new RegExp(digest), times: 9, dropAfterBytes: 1000 }],
    });
    const source = sourceWith(mirrored(main, mirror), "quay.internal/os:v1");
    const layer = await layerOf(source);
    expect(await readAll(source.openBlob(layer))).toEqual(Buffer.from(image.layers[0]?.blob ?? []));
    expect(blobsOf(main)).toMatchObject([{ range: "bytes=2000-" }]);
    expect(await readAll(source.readBlobRange(layer, { offsetBytes: 5, lengthBytes: 10_000 }))).toHaveLength(10_000);
  });

  test("a blob that is asked for again, because its digest was wrong, comes from another place first", async () => {
    const main = await open.registry(image);
    const digest = image.layers[0]?.digest ?? "";
    const content = Buffer.from(image.layers[0]?.blob ?? []).fill(7, 100, 200);
    const mirror = await open.registry(image, { faults: [{ path: new RegExp(digest), times: 9, content }] });
    const source = sourceWith(mirrored(main, mirror), "quay.internal/os:v1");
    const layer = await layerOf(source);
    expect(await readAll(source.openBlob(layer))).toEqual(content);
    expect(await readAll(source.openBlob(layer))).toEqual(Buffer.from(image.layers[0]?.blob ?? []));
    expect(blobsOf(main)).toHaveLength(1);
  });

  test("what a resumed blob lacked came from a bad mirror: asked for again, it comes from another place", async () => {
    const main = await open.registry(image);
    const digest = image.layers[0]?.digest ?? "";
    const content = Buffer.from(image.layers[0]?.blob ?? []).fill(7, 2000, 2100);
    const mirror = await open.registry(image, { faults: [{ path: new RegExp(digest), times: 9, content }] });
    const source = sourceWith(mirrored(main, mirror), "quay.internal/os:v1");
    const layer = await layerOf(source);
    expect(await readAll(source.openBlob(layer, { offsetBytes: 1000 }))).toEqual(content.subarray(1000));
    expect(await readAll(source.openBlob(layer))).toEqual(Buffer.from(image.layers[0]?.blob ?? []));
    expect(blobsOf(main)).toHaveLength(1);
  });

  test("a mirror with another config than the manifest names: the registry has the right one", async () => {
    const main = await open.registry(image);
    const content = Buffer.from(image.config).fill(" ", image.config.length - 1);
    const path = new RegExp(image.configDigest);
    const mirror = await open.registry(image, { faults: [{ path, content }] });
    const source = sourceWith(mirrored(main, mirror), "quay.internal/os:v1");
    expect((await source.resolve(amd64)).config.digest).toBe(image.configDigest);
    expect(blobsOf(main)).toHaveLength(1);
  });

  const digestOnly = (main: FakeRegistry, mirror: { readonly host: string }) =>
    `${mirrored(main, mirror)}pull-from-mirror = "digest-only"\n`;

  test("a mirror for digests only: the registry says what the tag is, the mirror serves all else", async () => {
    const [main, mirror] = [await open.registry(image), await open.registry(image)];
    const source = sourceWith(digestOnly(main, mirror), "quay.internal/os:v1");
    await readAll(source.openBlob(await layerOf(source)));
    expect(main.requests.map(({ path }) => path)).toEqual(["/v2/os/manifests/v1"]);
    expect(mirror.requests.every(({ path }) => path.includes("/blobs/"))).toBe(true);
    expect(source.registry()?.physical.host).toBe(main.host);
  });

  test("a mirror that cannot be reached is asked last from then on", async () => {
    const main = await open.registry(image);
    const path = new RegExp(image.layers[0]?.digest ?? "");
    const mirror = await open.registry(image, { faults: [{ path, times: 9, status: 503 }] });
    const source = sourceWith(digestOnly(main, mirror), "quay.internal/os:v1");
    const layer = await layerOf(source);
    const part = () => readAll(source.readBlobRange(layer, { offsetBytes: 0, lengthBytes: 10 }));
    expect(await part()).toHaveLength(10);
    const asked = blobsOf(mirror).length;
    expect(await part()).toHaveLength(10);
    expect(blobsOf(mirror)).toHaveLength(asked);
  });

  test("a mirror that lacks the config or a blob: the registry has it", async () => {
    const main = await open.registry(image);
    const mirror = await open.registry(image, { faults: [{ path: /blobs/, times: 99, status: 404 }] });
    const source = sourceWith(mirrored(main, mirror), "quay.internal/os:v1");
    await readAll(source.openBlob(await layerOf(source)));
    expect(blobsOf(main)).toHaveLength(2);
  });

  test("a mirror with another manifest than the digest asked for is passed over", async () => {
    const main = await open.registry(image);
    const content = Buffer.from(image.manifest).fill(" ", 1, 2);
    const mirror = await open.registry(image, { faults: [{ path: /manifests/, times: 99, content }] });
    const source = sourceWith(mirrored(main, mirror), `quay.internal/os@${image.manifestDigest}`);
    expect((await source.resolve(amd64)).manifest.digest).toBe(image.manifestDigest);
    expect(source.registry()?.physical.host).toBe(main.host);
  });

  test("a mirror that compresses documents, which nobody asked for, is passed over", async () => {
    const headers = { "content-encoding": "gzip" };
    for (const path of [/manifests/, new RegExp(image.configDigest)]) {
      const [main, mirror] = [await open.registry(image), await open.registry(image)];
      mirror.faults.push({ path, times: 9, status: 200, headers });
      const source = sourceWith(mirrored(main, mirror), "quay.internal/os:v1");
      expect((await source.resolve(amd64)).manifest.digest).toBe(image.manifestDigest);
      expect(main.requests).not.toEqual([]);
    }
  });

  test("a mirror that sends whole blobs only is told of, and not passed over, when a part is asked for", async () => {
    const [main, mirror] = [await open.registry(image), await open.registry(image, { ignoreRange: true })];
    const source = sourceWith(mirrored(main, mirror), "quay.internal/os:v1");
    const layer = await layerOf(source);
    await expect(readAll(source.readBlobRange(layer, { offsetBytes: 5, lengthBytes: 10 }))).rejects.toMatchObject({
      code: "unsupported",
    });
    expect(main.requests).toEqual([]);
  });

  test("nobody has it: the registry's own error, with what the mirrors said", async () => {
    const [main, mirror] = [await open.registry(image), await open.registry(image)];
    await expect(
      sourceWith(mirrored(main, nowhere, mirror), "quay.internal/os:v9").resolve(amd64),
    ).rejects.toMatchObject({
      code: "not-found",
      message:
        `Cannot fetch manifest of docker://quay.internal/os:v9: the registry says "manifest unknown" (404); before that: ` +
        `Cannot fetch manifest of docker://quay.internal/os:v9 from the mirror 127.0.0.1:1: 127.0.0.1:1: nothing listens ` +
        `there; before that: Cannot fetch manifest of docker://quay.internal/os:v9 from the mirror ${mirror.host}: ` +
        `the registry says "manifest unknown" (404)`,
    });
  });

  test("no blob anywhere: an error after all were asked; interrupted: at once", async () => {
    const gone = { faults: [{ path: /blobs/, times: 99, status: 404 }] };
    const [main, mirror] = [await open.registry(image, gone), await open.registry(image, gone)];
    const source = sourceWith(mirrored(main, mirror), "quay.internal/os:v1");
    await expect(source.resolve(amd64)).rejects.toMatchObject({ code: "not-found" });
    const controller = new AbortController();
    controller.abort();
    const stopped = sourceWith(mirrored(main, mirror), "quay.internal/os:v1", { signal: controller.signal });
    await expect(stopped.resolve(amd64)).rejects.toMatchObject({ code: "interrupted" });
  });

  test("credentials that were given for the registry never reach a mirror; a mirror's own login does", async () => {
    const user = { name: "ann", password: "s3cret" };
    const mirror = await open.registry(image, { auth: "basic", user: { name: "mirror", password: "m" } });
    const named = await open.registry(image, { auth: "basic", user, faults: [{ path: /x/ }] });
    const conf = `[[registry]]\nlocation = "${named.host}"\n[[registry.mirror]]\nlocation = "${mirror.host}"\n`;
    const credentials = { user: user.name, password: user.password };
    const source = sourceWith(conf, `docker://${named.host}/os:v1`, { credentials });
    expect((await source.resolve(amd64)).manifest.digest).toBe(image.manifestDigest);
    expect(source.registry()?.physical.host).toBe(named.host);
    expect(mirror.requests.every(({ authorization }) => authorization === undefined)).toBe(true);
    const auth = Buffer.from("mirror:m").toString("base64");
    const files = { "/etc/osdeploy/auth.json": { auths: { [mirror.host]: { auth } } } };
    const own = sourceWith(conf, `docker://${named.host}/os:v1`, { credentials }, files);
    await own.resolve(amd64);
    expect(own.registry()?.physical.host).toBe(mirror.host);
  });
});

describe("a blocked registry, short names", () => {
  test("blocked: refused before any access", async () => {
    const registry = await open.registry(image);
    const conf = `[[registry]]\nlocation = "${registry.host}"\nblocked = true\n`;
    await expect(sourceWith(conf, `${registry.host}/os:v1`).resolve(amd64)).rejects.toMatchObject({
      code: "permission-denied",
    });
    expect(registry.requests).toEqual([]);
  });

  test("a blocked mirror is not asked, also where only the rule of another name leads to it", async () => {
    const [main, mirror] = [await open.registry(image), await open.registry(image)];
    const conf = `${mirrored(main, mirror)}[[registry]]\nlocation = "${mirror.host}"\nblocked = true\n`;
    const source = sourceWith(conf, "quay.internal/os:v1");
    await readAll(source.openBlob(await layerOf(source)));
    expect(source.registry()?.physical.host).toBe(main.host);
    expect(mirror.requests).toEqual([]);
    await expect(sourceWith(conf, "quay.internal/os:v9").resolve(amd64)).rejects.toMatchObject({
      code: "not-found",
      message: expect.stringMatching(/; before that: Cannot use docker:.*\/os: registries.conf blocks "127/),
    });
  });

  test("a place that a rule renames to is blocked: refused before any access", async () => {
    const registry = await open.registry(image);
    const renamed = `[[registry]]\nprefix = "quay.internal"\nlocation = "${registry.host}"\n`;
    const conf = `${renamed}[[registry]]\nlocation = "${registry.host}/os"\nblocked = true\n`;
    await expect(sourceWith(conf, "quay.internal/os:v1").resolve(amd64)).rejects.toMatchObject({
      code: "permission-denied",
      message: `Cannot use docker://${registry.host}/os: registries.conf blocks "${registry.host}/os"`,
    });
    expect(registry.requests).toEqual([]);
  });

  test("a short name is looked for in one search registry after the other, and remembered in full", async () => {
    const [first, second] = [await open.registry(image), await open.registry(image)];
    second.add(image, "v2");
    const conf = `unqualified-search-registries = ["${first.host}", "${second.host}"]\n`;
    const source = sourceWith(conf, "os:v2");
    expect(source.describe()).toBe("os:v2");
    await source.resolve(amd64);
    expect(source.describe()).toBe(`docker://${second.host}/os:v2`);
    expect(source.reference()).toMatchObject({ kind: "registry", host: second.host });
    await expect(sourceWith(conf, "os:v9").resolve(amd64)).rejects.toMatchObject({
      code: "not-found",
      message: expect.stringMatching(/^Cannot find "os:v9" in a search registry: .*; Cannot fetch manifest/),
    });
  });

  test("credentials that were given are for one registry: of several search registries none gets them", async () => {
    const user = { name: "ann", password: "s3cret" };
    const [first, second] = [await open.registry(image, { auth: "basic", user }), await open.registry(image)];
    const conf = `unqualified-search-registries = ["${first.host}", "${second.host}"]\n`;
    const credentials = { user: user.name, password: user.password };
    const source = sourceWith(conf, "os:v1", { credentials });
    await source.resolve(amd64);
    expect(source.describe()).toBe(`docker://${second.host}/os:v1`);
    expect(first.requests.map(({ authorization }) => authorization)).toEqual([undefined]);
    const alone = sourceWith(`unqualified-search-registries = ["${first.host}"]\n`, "os:v1", { credentials });
    await alone.resolve(amd64);
    expect(alone.describe()).toBe(`docker://${first.host}/os:v1`);
  });

  test("an alias leads to its registry, by way of its mirrors", async () => {
    const registry = await open.registry(image);
    const conf = `[aliases]\nos = "quay.internal/os"\n${mirrored(registry)}`;
    const source = sourceWith(conf, "os:v1");
    await source.resolve(amd64);
    expect(source.describe()).toBe("docker://quay.internal/os:v1");
  });

  test("a short name that stands for nothing is refused at once", () => {
    expect(() => sourceWith("", "os:v1")).toThrow(expect.objectContaining({ code: "usage" }));
  });
});

describe("the registry that delivered an image", () => {
  const index = '{"schemaVersion":2,"manifests":[]}';

  test("manifests by tag and digest, referrers and blobs; what is missing is undefined", async () => {
    const registry = await open.registry(image, { referrers: { [image.manifestDigest]: index } });
    const type = "application/vnd.oci.image.manifest.v1+json";
    const signature = Buffer.from("{}");
    const digest = registry.addBytes(signature, { type, tag: "sha256-x.sig" });
    const source = sourceWith("", `${registry.host}/os:v1`);
    expect(source.registry()).toBeUndefined();
    await source.resolve(amd64);
    const found = source.registry();
    expect(await found?.readManifest("sha256-x.sig")).toEqual({
      ...{ mediaType: type, digest, bytes: new Uint8Array(signature) },
    });
    expect((await found?.readManifest(digest))?.bytes).toEqual(new Uint8Array(signature));
    expect(await found?.readManifest("sha256-y.sig")).toBeUndefined();
    const subject = parseManifestDigest(image.manifestDigest);
    expect(Buffer.from((await found?.readReferrers(subject))?.[0] ?? []).toString()).toBe(index);
    expect(await found?.readReferrers(parseManifestDigest(digest))).toBeUndefined();
    const blob = { mediaType: "x", digest: parseManifestDigest(digest), sizeBytes: 2, annotations: new Map() };
    expect(await found?.readBlob(blob, 100)).toEqual(new Uint8Array(signature));
    await expect(found?.readBlob(blob, 1)).rejects.toMatchObject({ code: "limit-exceeded" });
    registry.faults.push({ path: /blobs/, times: 1, content: Buffer.from("xx") });
    await expect(found?.readBlob(blob, 100)).rejects.toMatchObject({ code: "digest-mismatch" });
    registry.faults.push({ path: /manifests/, times: 1, content: Buffer.from("[]") });
    await expect(found?.readManifest(digest)).rejects.toMatchObject({ code: "digest-mismatch" });
    registry.faults.push({ path: /manifests/, times: 9, status: 500 });
    await expect(found?.readManifest("sha256-y.sig")).rejects.toMatchObject({ code: "network" });
  });
});

test("--authfile names the login file for mirrors, too", async () => {
  const registry = await open.registry(image, { auth: "basic", user: { name: "ann", password: "s" } });
  const auth = Buffer.from("ann:s").toString("base64");
  const files = { "/x.json": { auths: { [registry.host]: { auth } } } };
  const source = sourceWith(mirrored(registry), "quay.internal/os:v1", { authFile: fromText("/x.json") }, files);
  await source.resolve(amd64);
});
