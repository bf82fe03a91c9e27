import { afterEach, beforeAll, describe, expect, test } from "vitest";
import { type BuiltImage, buildImage, descriptorOf, json } from "../../builders/oci-image.ts";
import { amd64, buildNoiseImage, layerOf, OpenSources, readAll } from "../../builders/oci-source.ts";
import type { FakeRegistryOptions, Fault } from "../../fakes/fake-registry.ts";

let image: BuiltImage;
const open = new OpenSources();

beforeAll(async () => {
  image = await buildNoiseImage();
});

afterEach(() => open.stop());

const failWith = (code: string, message: string | RegExp) =>
  expect.objectContaining({ code, message: typeof message === "string" ? message : expect.stringMatching(message) });

describe("a registry: what goes wrong with documents", () => {
  test("an unknown tag: the registry's own words, and not-found", async () => {
    const registry = await open.registry(image);
    await expect(open.source(registry, {}, "os:v9").resolve(amd64)).rejects.toThrow(
      failWith(
        "not-found",
        `Cannot fetch manifest of docker://${registry.host}/os:v9: the registry says "manifest unknown" (404)`,
      ),
    );
  });

  test("an entry of an index that cannot be used: passed over, unless it may be the one for this machine", async () => {
    const registry = await open.registry(image);
    const ours = { ...descriptorOf(image), platform: image.platform };
    const foreign = { ...ours, digest: `sha384:${"a".repeat(96)}` };
    const type = "application/vnd.oci.image.index.v1+json";
    const add = (tag: string, ...manifests: readonly object[]) =>
      registry.addBytes(json({ schemaVersion: 2, mediaType: type, manifests }), { type, tag });
    const resolve = (tag: string) => open.source(registry, {}, `os:${tag}`).resolve(amd64);
    add("other", { ...foreign, platform: { os: "linux", architecture: "arm64" } }, ours);
    add("untyped", { ...ours, mediaType: undefined }, ours);
    for (const tag of ["other", "untyped"]) expect((await resolve(tag)).manifest.digest).toBe(image.manifestDigest);
    add("only", foreign);
    await expect(resolve("only")).rejects.toThrow(
      failWith("bad-format", /manifests\[0\].digest "sha384:a+" is not a digest/),
    );
    add("none", { ...foreign, platform: { os: "linux", architecture: "arm64" } });
    await expect(resolve("none")).rejects.toThrow(failWith("not-found", /it has no image for linux\/amd64/));
  });

  test.each([429, 500, 502, 503, 504])("status %i twice: tried again", async (status) => {
    const registry = await open.registry(image, { faults: [{ path: /manifests/, times: 2, status }] });
    expect((await open.source(registry).resolve(amd64)).manifest.digest).toBe(image.manifestDigest);
  });

  test.each<[number, number, string]>([
    [503, 3, "network"],
    [400, 1, "network"],
    [403, 1, "unauthorized"],
  ])("status %i for ever: %i tries, then %s", async (status, tries, code) => {
    const body = JSON.stringify({ errors: [{ code: "X", message: 'no\n\u001b[31mway"' }] });
    const registry = await open.registry(image, { faults: [{ path: /manifests/, status, body }] });
    await expect(open.source(registry).resolve(amd64)).rejects.toThrow(
      failWith(code, new RegExp(`says "no \\[31mway" \\(${status}\\)`)),
    );
    expect(registry.requests).toHaveLength(tries);
  });

  const answerOf = (bytes: number) => JSON.stringify({ errors: [{ message: "no way" }] }).padEnd(bytes, " ");

  test.each([
    [65_536, /: the registry says "no way" \(404\)$/],
    [65_537, /: the registry answers 404$/],
  ])("an error of %i bytes: 64 KiB of it are read, or none", async (bytes, message) => {
    const faults = [{ path: /manifests/, status: 404, body: answerOf(bytes) }];
    await expect(open.source(await open.registry(image, { faults })).resolve(amd64)).rejects.toThrow(
      failWith("not-found", message),
    );
  });

  test.each([["<html>busy</html>"], ['{"errors":[]}'], ['{"errors":[{"message":""}]}'], ["x".repeat(100_000)]])(
    "an error that says nothing to us (%#): the status is told",
    async (body) => {
      const registry = await open.registry(image, { faults: [{ path: /manifests/, status: 404, body }] });
      await expect(open.source(registry).resolve(amd64)).rejects.toThrow(
        failWith("not-found", /: the registry answers 404$/),
      );
    },
  );

  test("Retry-After: waited for", async () => {
    const headers = { "retry-after": "1" };
    const registry = await open.registry(image, { faults: [{ path: /manifests/, times: 1, status: 429, headers }] });
    const before = Date.now();
    await open.source(registry).resolve(amd64);
    expect(Date.now() - before).toBeGreaterThanOrEqual(990);
  });

  test("another manifest than the digest asked for: digest-mismatch, whatever Docker-Content-Digest says", async () => {
    const content = Buffer.from(image.manifest).fill(" ", 1, 2);
    const headers = { "docker-content-digest": image.manifestDigest };
    const registry = await open.registry(image, { faults: [{ path: /manifests/, content, headers }] });
    await expect(open.source(registry, {}, `os@${image.manifestDigest}`).resolve(amd64)).rejects.toThrow(
      failWith("digest-mismatch", new RegExp(`^Cannot use ${image.manifestDigest}: its bytes measure to sha256:`)),
    );
  });

  test("another config than the manifest names: digest-mismatch", async () => {
    const content = Buffer.from(image.config).fill(" ", image.config.length - 1);
    const registry = await open.registry(image, { faults: [{ path: /blobs/, content }] });
    await expect(open.source(registry).resolve(amd64)).rejects.toMatchObject({ code: "digest-mismatch" });
  });

  test("a config of another size: bad-format", async () => {
    const registry = await open.registry(image, { faults: [{ path: /blobs/, content: Buffer.from("{}") }] });
    await expect(open.source(registry).resolve(amd64)).rejects.toThrow(
      failWith("bad-format", /: it has 2 bytes, not [0-9]+/),
    );
  });

  test("a manifest without end: limit-exceeded", async () => {
    const registry = await open.registry(image, {
      faults: [{ path: /manifests/, content: Buffer.alloc(5_000_000, 32) }],
    });
    await expect(open.source(registry).resolve(amd64)).rejects.toThrow(
      failWith("limit-exceeded", /the answer has more than 4194304 bytes$/),
    );
  });

  test("no answer: tried again, then said so", async () => {
    const registry = await open.registry(image, { faults: [{ path: /manifests/, stallAfterBytes: 5 }] });
    await expect(open.source(registry, { retry: { tries: 2, delayMs: 1 } }).resolve(amd64)).rejects.toThrow(
      failWith("network", /: nothing more came within the time allowed$/),
    );
    expect(registry.requests).toHaveLength(2);
  });

  test("nothing listens: said at once", async () => {
    const registry = await open.registry(image);
    await registry.stop();
    await expect(open.source(registry).resolve(amd64)).rejects.toThrow(failWith("network", /: nothing listens there$/));
  });

  test("a host that is none: usage", async () => {
    await expect(open.source({ host: "127.0.0.1:0" }).resolve(amd64)).rejects.toMatchObject({ name: "OsdeployError" });
    await expect(open.source({ host: "1.2.3.999" }).resolve(amd64)).rejects.toThrow(
      failWith("usage", /it is no host$/),
    );
  });

  test("a signal: interrupted, also while waiting", async () => {
    const registry = await open.registry(image, { faults: [{ path: /manifests/, status: 503 }] });
    const aborter = new AbortController();
    const resolving = open
      .source(registry, { signal: aborter.signal, retry: { tries: 9, delayMs: 60_000 } })
      .resolve(amd64);
    setTimeout(() => aborter.abort(), 50);
    await expect(resolving).rejects.toMatchObject({ code: "interrupted" });
    await expect(open.source(registry, { signal: aborter.signal }).resolve(amd64)).rejects.toMatchObject({
      code: "interrupted",
    });
  });
});

describe("a registry: what goes wrong with blobs", () => {
  async function fetchWith(
    fault: Fault,
    options: FakeRegistryOptions = {},
  ): Promise<{ bytes: Buffer; ranges: unknown[] }> {
    const registry = await open.registry(image, options);
    const source = open.source(registry);
    const layer = await layerOf(source);
    registry.faults.push(fault);
    registry.requests.length = 0;
    const bytes = await readAll(source.openBlob(layer));
    return { bytes, ranges: registry.requests.map((request) => request.range) };
  }

  test("a connection that breaks: the rest is asked for", async () => {
    const { bytes, ranges } = await fetchWith({ path: /blobs/, times: 1, dropAfterBytes: 10_000 });
    expect(bytes.equals(Buffer.from(image.layers[0]?.blob ?? []))).toBe(true);
    expect(ranges).toEqual([undefined, "bytes=10000-"]);
  });

  test("a server without ranges: what is known is passed over", async () => {
    const { bytes } = await fetchWith({ path: /blobs/, times: 2, dropAfterBytes: 10_000 }, { ignoreRange: true });
    expect(bytes.equals(Buffer.from(image.layers[0]?.blob ?? []))).toBe(true);
  });

  test("a body that ends too early without an error: the rest is asked for", async () => {
    const { bytes, ranges } = await fetchWith({ path: /blobs/, times: 1, endAfterBytes: 7 });
    expect(bytes.equals(Buffer.from(image.layers[0]?.blob ?? []))).toBe(true);
    expect(ranges).toEqual([undefined, "bytes=7-"]);
  });

  test("a server that stalls: the rest is asked for", async () => {
    const { bytes } = await fetchWith({ path: /blobs/, times: 1, stallAfterBytes: 100 });
    expect(bytes).toHaveLength(image.layers[0]?.blob.length ?? 0);
  });

  test("a byte a try: an end after three tries", async () => {
    await expect(fetchWith({ path: /blobs/, endAfterBytes: 1 })).rejects.toThrow(
      failWith("network", /: it ended after 3 of [0-9]+ bytes$/),
    );
  });

  test("more failures than tries, but a mebibyte in between each: goes on to the end", async () => {
    const content = new Uint8Array(9 * 1024 * 1024);
    const large = await buildImage({ layers: [[{ path: "usr/a", content }]], compression: "none" });
    const registry = await open.registry(large, { faults: [{ path: /never/ }] });
    const source = open.source(registry);
    const layer = await layerOf(source);
    registry.faults.push({ path: /blobs/, times: 5, dropAfterBytes: 1.5 * 1024 * 1024 });
    expect(await readAll(source.openBlob(layer))).toHaveLength(layer.sizeBytes);
  });

  test("a longer blob than announced: refused", async () => {
    const content = Buffer.alloc(1_000_000);
    await expect(fetchWith({ path: /blobs/, content })).rejects.toThrow(
      failWith("bad-format", /it is longer than the [0-9]+ bytes/),
    );
  });

  test("another range than asked for: refused", async () => {
    const registry = await open.registry(image, {
      faults: [{ path: /blobs/, headers: { "content-range": "bytes 500-600/601" } }],
    });
    const source = open.source(registry);
    const layer = await layerOf(source);
    await expect(readAll(source.openBlob(layer, { offsetBytes: 100 }))).rejects.toThrow(
      failWith("network", /the registry sends another part than was asked for$/),
    );
  });

  test("a missing blob: not-found", async () => {
    const source = open.source(await open.registry(image));
    const layer = { ...(await layerOf(source)), digest: `sha256:${"0".repeat(64)}` as never };
    await expect(readAll(source.openBlob(layer))).rejects.toThrow(
      failWith(
        "not-found",
        /^Cannot fetch blob sha256:0+ of docker:.*: the registry says "blob unknown to registry" \(404\)$/,
      ),
    );
  });

  test("eight redirects: followed; a ninth is not", async () => {
    const registry = await open.registry(image);
    const location = `/v2/os/manifests/${image.manifestDigest}`;
    const redirected = async (times: number) => {
      registry.faults.push({ path: /manifests/, times, status: 307, headers: { location } });
      registry.requests.length = 0;
      return await open.source(registry).resolve(amd64);
    };
    expect((await redirected(8)).manifest.digest).toBe(image.manifestDigest);
    await expect(redirected(9)).rejects.toThrow(failWith("network", /it redirects more than 8 times$/));
    expect(registry.requests).toHaveLength(9);
  });

  test("a redirect without end, to nowhere or to a file: refused", async () => {
    for (const location of ["/v2/os/blobs/x", "http://[", "file:///etc/passwd"]) {
      const faults = [
        { path: /manifests/, status: 302, headers: { location } },
        { path: /blobs/, status: 302, headers: { location } },
      ];
      const registry = await open.registry(image, { faults });
      await expect(open.source(registry).resolve(amd64)).rejects.toThrow(failWith("network", /redirects/));
    }
  });
});
