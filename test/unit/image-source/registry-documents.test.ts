import { afterEach, beforeAll, describe, expect, test } from "vitest";
import { parseManifestDigest } from "../../../src/core/digest/oci-digest.ts";
import { Registry, type RegistryOptions } from "../../../src/image-source/registry.ts";
import { fetchManifest, fetchReferrers, listTags } from "../../../src/image-source/registry-documents.ts";
import type { BuiltImage } from "../../builders/oci-image.ts";
import { buildNoiseImage, OpenSources } from "../../builders/oci-source.ts";
import type { FakeRegistry } from "../../fakes/fake-registry.ts";

let image: BuiltImage;
const open = new OpenSources();

beforeAll(async () => {
  image = await buildNoiseImage();
});

afterEach(() => open.stop());

async function registryAt(fake: FakeRegistry, changes: Partial<RegistryOptions> = {}): Promise<Registry> {
  const registry = await Registry.open(
    { host: fake.host, repository: "os" },
    {
      ...{ login: undefined, tlsVerify: true, tls: { own: undefined, others: undefined } },
      proxies: { http: undefined, https: undefined, except: [] },
      timeouts: { connectMs: 2_000, headersMs: 2_000, idleMs: 2_000 },
      retry: { tries: 2, delayMs: 1, random: () => 0, signal: undefined },
      now: Date.now,
      ...changes,
    },
  );
  open.addServer({ close: (done: () => void) => void registry.close().then(done) } as never);
  return registry;
}

describe("listTags", () => {
  test("all tags; page after page where the registry says so", async () => {
    const fake = await open.registry(image);
    fake.add(image, "v2");
    const registry = await registryAt(fake);
    expect(await listTags(registry)).toEqual(["v1", "v2"]);
    const link = '</v2/os/tags/list?last=a&n=1>; rel="next"';
    fake.faults.push({ path: /tags/, times: 1, status: 200, body: '{"tags":["a"]}', headers: { link } });
    fake.faults.push({ path: /tags/, times: 1, status: 200, body: '{"tags":null}' });
    fake.requests.length = 0;
    expect(await listTags(registry)).toEqual(["a"]);
    expect(fake.requests.map(({ path }) => path)).toEqual(["/v2/os/tags/list", "/v2/os/tags/list?last=a&n=1"]);
  });

  test("a registry that names ever another page is left", async () => {
    const headers = { link: '</v2/os/tags/list?n=1>; rel="next"' };
    const body = JSON.stringify({ tags: Array.from({ length: 60_000 }, (_, at) => `t${at}`) });
    const fake = await open.registry(image, { faults: [{ path: /tags/, times: 9, status: 200, body, headers }] });
    await expect(listTags(await registryAt(fake))).rejects.toMatchObject({ code: "limit-exceeded" });
  });
});

test("fetchReferrers, listTags: a page without end is left", async () => {
  const body = " ".repeat(4 * 1024 * 1024 + 1);
  const fake = await open.registry(image, { faults: [{ path: /referrers|tags/, times: 9, status: 200, body }] });
  const registry = await registryAt(fake);
  const digest = parseManifestDigest(`sha256:${"a".repeat(64)}`);
  await expect(fetchReferrers(registry, digest, "list it")).rejects.toMatchObject({ code: "limit-exceeded" });
  await expect(listTags(registry)).rejects.toMatchObject({ code: "limit-exceeded" });
});

describe("fetchReferrers", () => {
  const digest = parseManifestDigest(`sha256:${"a".repeat(64)}`);
  const page = (name: string, link?: string) => ({
    ...{ path: /referrers/, times: 1, status: 200, body: name },
    headers: link === undefined ? {} : { link },
  });
  const fetchFrom = async (faults: FakeRegistry["faults"]) => {
    const fake = await open.registry(image, { faults });
    const pages = await fetchReferrers(await registryAt(fake), digest, "list");
    const asked = fake.requests.map(({ path }) => path.replace("/v2/os/referrers/", "").replace(digest, "D"));
    return { pages: pages?.map((bytes) => Buffer.from(bytes).toString()), asked };
  };

  test("page after page, at this registry whatever host the address names", async () => {
    const { pages, asked } = await fetchFrom([
      page("first", `</v2/os/referrers/${digest}?last=1>; rel="next"`),
      page("second", `<http://inside:5000/v2/os/referrers/${digest.replace(":", "%3A")}?last=2>; title="x"; rel=next`),
      page("third", `</v2/os/referrers/${digest}?last=1>; rel="prev"`),
    ]);
    expect(pages).toEqual(["first", "second", "third"]);
    expect(asked).toEqual(["D", "D?last=1", "D?last=2"]);
  });

  test("a registry without such lists has none; one that loses a page has failed", async () => {
    expect((await fetchFrom([])).pages).toBeUndefined();
    const first = page("first", `</v2/os/referrers/${digest}?last=1>; rel="next"`);
    await expect(fetchFrom([first])).rejects.toMatchObject({ code: "not-found" });
  });

  test.each(["/v2/os/tags/list?n=1", `/v2/os/referrers/${digest}`, `/v2/os/referrers/${digest}?${"x".repeat(1001)}`])(
    "a next page that is none of the list is refused: %s",
    async (target) => {
      await expect(fetchFrom([page("first", `<${target}>; rel="next"`)])).rejects.toMatchObject({ code: "bad-format" });
    },
  );

  test("a registry that names ever another page is left", async () => {
    const again = { ...page("more", `</v2/os/referrers/${digest}?last=1>; rel="next"`), times: 99 };
    await expect(fetchFrom([again])).rejects.toMatchObject({ code: "limit-exceeded" });
    expect(again.times).toBe(99 - 32);
  });
});

test("Registry.latencyMs: the shortest time to an answer so far", async () => {
  const fake = await open.registry(image);
  // The first one is that of a try with TLS, which gets no answer.
  const times = [0, 10, 100, 110, 130, 200, 250];
  const registry = await registryAt(fake, { now: () => times.shift() ?? 0 });
  expect(registry.latencyMs).toBeUndefined();
  const latencies: unknown[] = [];
  for (let i = 0; i < 3; i++) {
    (await registry.get("manifests/v1", {}, "read it")).body.destroy();
    latencies.push(registry.latencyMs);
  }
  expect(latencies).toEqual([90, 20, 20]);
});

describe("what proxies do to documents", () => {
  test("one that is compressed although nobody asked is refused, and named", async () => {
    const headers = { "content-encoding": "gzip" };
    const fake = await open.registry(image, { faults: [{ path: /manifests/, times: 1, status: 200, headers }] });
    const registry = await registryAt(fake);
    await expect(fetchManifest(registry, "v1", "read it")).rejects.toMatchObject({
      code: "unsupported",
      message: expect.stringMatching(/^Cannot read it: it comes compressed with "gzip", which was not asked for/),
    });
    fake.faults.push({ path: /manifests/, times: 1, status: 200, headers: { "content-encoding": "identity" } });
    expect((await fetchManifest(registry, "v1", "read it")).bytes).toHaveLength(0);
  });

  test("a 413 is explained", async () => {
    const fake = await open.registry(image, { faults: [{ path: /manifests/, times: 1, status: 413 }] });
    await expect(fetchManifest(await registryAt(fake), "v1", "read it")).rejects.toThrow(
      "Cannot read it: the registry answers 413: it is too large for it, or for a proxy in front of it",
    );
  });
});

describe("Registry.request: what pushes need", () => {
  test("an upload begins, and goes on at the address that the registry names, with a token that may push", async () => {
    const fake = await open.registry(image, { auth: "token" });
    const registry = await registryAt(fake, { actions: "pull,push" });
    const begun = await registry.request("blobs/uploads/", { method: "POST", headers: {}, body: () => "" }, "push");
    begun.body.destroy();
    expect(begun.status).toBe(202);
    const target = new URL(begun.header("location") ?? "");
    target.searchParams.set("digest", "sha256:x");
    const headers = { "content-type": "application/octet-stream" };
    async function* body() {
      yield Buffer.from("bl");
      yield Buffer.from("ob");
    }
    const done = await registry.request(target, { method: "PUT", headers, body }, "push");
    done.body.destroy();
    expect(done.status).toBe(201);
    expect(
      fake.requests.map(({ method, path, body: sent }) => [method ?? "GET", path.replace(/service.*scope/, ""), sent]),
    ).toEqual([
      ["POST", "/v2/os/blobs/uploads/", ""],
      ["GET", "/token?=repository%3Aos%3Apull%2Cpush", undefined],
      ["POST", "/v2/os/blobs/uploads/", ""],
      ["PUT", "/upload/7?state=x&digest=sha256%3Ax", "blob"],
    ]);
  });

  test("an address on another host gets no Authorization, and a redirect of an upload is an answer", async () => {
    const [fake, other] = [await open.registry(image, { auth: "token" }), await open.registry(image)];
    const registry = await registryAt(fake);
    (await registry.get("manifests/v1", {}, "fetch")).body.destroy();
    const answer = await registry.request(
      new URL(`http://${other.host}/upload/1`),
      { method: "PUT", headers: {} },
      "push",
    );
    answer.body.destroy();
    expect(other.requests).toMatchObject([{ path: "/upload/1", authorization: undefined }]);
    const headers = { location: `http://${other.host}/` };
    fake.faults.push({ path: /uploads/, times: 1, status: 307, headers });
    const redirected = await registry.request("blobs/uploads/", { method: "POST", headers: {} }, "push");
    redirected.body.destroy();
    expect(redirected.status).toBe(307);
  });
});
