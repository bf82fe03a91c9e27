import { afterEach, beforeAll, describe, expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { parseImageReference } from "../../../src/core/oci/reference.ts";
import { openImageSource, type SourceOptions } from "../../../src/image-source/open-image-source.ts";
import { openLinux } from "../../../src/linux/live-linux.ts";
import { machineWithFiles } from "../../builders/configuration.ts";
import type { BuiltImage } from "../../builders/oci-image.ts";
import {
  amd64,
  buildNoiseImage,
  bareEnvironment as environment,
  layerOf,
  OpenSources,
  readAll,
} from "../../builders/oci-source.ts";
import type { FakeRegistryOptions } from "../../fakes/fake-registry.ts";

const user = { name: "ann", password: "s3cret:with:colons" };
const credentials = { user: user.name, password: user.password };

let image: BuiltImage;
const open = new OpenSources();

beforeAll(async () => {
  image = await buildNoiseImage();
});

afterEach(() => open.stop());

const failWith = (code: string, message: string | RegExp) =>
  expect.objectContaining({ code, message: typeof message === "string" ? message : expect.stringMatching(message) });

describe("a registry: login", () => {
  test("a token for everybody is fetched once and used for all", async () => {
    const registry = await open.registry(image, { auth: "token" });
    await readAll(open.source(registry).openBlob(await layerOf(open.source(registry))));
    const source = open.source(registry);
    registry.requests.length = 0;
    await readAll(source.openBlob(await layerOf(source)));
    expect(registry.requests.map((request) => request.path.replace(/sha256:.*/, "DIGEST"))).toEqual([
      "/v2/os/manifests/v1",
      "/token?service=fake%2C+registry&scope=repository%3Aos%3Apull",
      "/v2/os/manifests/v1",
      "/v2/os/blobs/DIGEST",
      "/v2/os/blobs/DIGEST",
    ]);
  });

  test("a token that is no longer good is fetched anew", async () => {
    const registry = await open.registry(image, { auth: "token", tokenField: "access_token" });
    const source = open.source(registry);
    const layer = await layerOf(source);
    registry.forgetTokens();
    expect(await readAll(source.openBlob(layer))).toHaveLength(layer.sizeBytes);
  });

  test("a token is renewed before it runs out", async () => {
    const registry = await open.registry(image, { auth: "token", tokenSeconds: 100 });
    const linux = openLinux();
    let now = 0;
    const clock = { ...linux.clock, now: () => now };
    const source = openImageSource(parseImageReference(`${registry.host}/os:v1`), { ...linux, clock }, { environment });
    open.add(source);
    const layer = await layerOf(source);
    const tokens = () => registry.requests.filter((request) => request.path.startsWith("/token")).length;
    now = 90_000;
    await readAll(source.openBlob(layer));
    expect(tokens()).toBe(1);
    now = 96_000;
    await readAll(source.openBlob(layer));
    expect(tokens()).toBe(2);
  });

  test("a token counts for a minute at least, also where the token server says less", async () => {
    const registry = await open.registry(image, { auth: "token", tokenSeconds: 1 });
    const source = open.source(registry);
    await readAll(source.openBlob(await layerOf(source)));
    expect(registry.requests.filter((request) => request.path.startsWith("/token"))).toHaveLength(1);
  });

  test("credentials go to the token server, and only the token to the registry", async () => {
    const registry = await open.registry(image, { auth: "token", user });
    await open.source(registry, { credentials }).resolve(amd64);
    const basic = `Basic ${Buffer.from(`${user.name}:${user.password}`).toString("base64")}`;
    for (const request of registry.requests) {
      if (request.path.startsWith("/token")) expect(request.authorization).toBe(basic);
      else expect(request.authorization ?? "Bearer ").toMatch(/^Bearer /);
    }
    expect(registry.requests[1]?.path).toContain("account=ann");
  });

  test("Basic credentials are sent only after they were asked for", async () => {
    const registry = await open.registry(image, { auth: "basic", user });
    await open.source(registry, { credentials }).resolve(amd64);
    expect(registry.requests.map((request) => request.authorization?.slice(0, 5))).toEqual([
      undefined,
      "Basic",
      "Basic",
    ]);
  });

  test("blobs on another host get no Authorization", async () => {
    const registry = await open.registry(image, { auth: "token", redirectBlobs: true });
    const source = open.source(registry);
    await readAll(source.openBlob(await layerOf(source)));
    const storage = registry.requests.filter((request) => request.path.startsWith("/storage/"));
    expect(storage).toHaveLength(2);
    expect(storage.every((request) => request.authorization === undefined)).toBe(true);
  });

  test("a 401 of a place that the registry redirects to is its own: nobody logs in there", async () => {
    const asked = { "www-authenticate": "" };
    const faults = [{ path: /blobs/, times: 9, status: 401, headers: asked }];
    const other = await open.registry(image, { faults });
    for (const challenge of [`Bearer realm="http://${other.host}/token"`, "Basic realm=x"]) {
      asked["www-authenticate"] = challenge;
      other.requests.length = 0;
      const headers = { location: `http://${other.host}/v2/os/blobs/x` };
      const redirect = [{ path: /blobs/, status: 307, headers, times: 9 }];
      const registry = await open.registry(image, { auth: "token", user, faults: redirect });
      await expect(open.source(registry, { credentials }).resolve(amd64)).rejects.toMatchObject({
        code: "unauthorized",
      });
      expect(other.requests).toEqual([{ path: "/v2/os/blobs/x", authorization: undefined, range: undefined }]);
    }
  });

  test.each<[string, FakeRegistryOptions, Partial<SourceOptions>, RegExp]>([
    [
      "no credentials, Basic",
      { auth: "basic", user },
      {},
      /"authentication required" \(401\); no credentials were found; see --authfile$/,
    ],
    [
      "no credentials, token",
      { auth: "token", user },
      {},
      /^Cannot log in to .*: the registry says "wrong password" \(401\); no credentials were found/,
    ],
    [
      "wrong ones, Basic",
      { auth: "basic", user },
      { credentials: { user: "ann", password: "s3cret" } },
      /; check the credentials$/,
    ],
    [
      "wrong ones, token",
      { auth: "token", user },
      { credentials: { user: "ann", password: "s3cret" } },
      /; check the credentials$/,
    ],
  ])("%s: unauthorized, with a hint and without secrets", async (_, registryOptions, options, message) => {
    const registry = await open.registry(image, registryOptions);
    const error: unknown = await open
      .source(registry, options)
      .resolve(amd64)
      .catch((caught: unknown) => caught);
    expect(error).toEqual(failWith("unauthorized", message));
    expect(JSON.stringify(error) + String(error)).not.toMatch(/s3cret|czNjcmV0/);
  });

  test.each([["ftp://example.org/token"], ["http://127.0.0.2/token"], [""], ["http://a:b@127.0.0.1/token"]])(
    "a token server at %j is not asked",
    async (realm) => {
      const registry = await open.registry(image, { auth: "token", realm });
      await expect(open.source(registry).resolve(amd64)).rejects.toThrow(
        failWith("network", /it names no token server that can be used$/),
      );
    },
  );

  test.each([["{}"], ['{"token":""}'], ['{"token":"a b"}'], ['{"token":"a\\r\\nb: c"}'], ["no"]])(
    "%s is no token",
    async (body) => {
      const registry = await open.registry(image, { auth: "token", faults: [{ path: /token/, status: 200, body }] });
      await expect(open.source(registry).resolve(amd64)).rejects.toMatchObject({ code: "bad-format" });
    },
  );

  test("--authfile: its entry for the host is used", async () => {
    const registry = await open.registry(image, { auth: "basic", user });
    const auth = Buffer.from(`${user.name}:${user.password}`).toString("base64");
    const linux = machineWithFiles({ "/auth.json": { auths: { [registry.host]: { auth } } } });
    const options = { environment, authFile: fromText("/auth.json") };
    const source = openImageSource(parseImageReference(`${registry.host}/os:v1`), linux, options);
    open.add(source);
    expect((await source.resolve(amd64)).manifest.digest).toBe(image.manifestDigest);
  });

  test("an identity token goes to the token server in the body of a POST, and nowhere else", async () => {
    const registry = await open.registry(image, { auth: "token", user, identityToken: "refr3sh" });
    const linux = machineWithFiles({
      "/etc/osdeploy/auth.json": { auths: { [registry.host]: { auth: "", identitytoken: "refr3sh" } } },
    });
    const source = openImageSource(parseImageReference(`${registry.host}/os:v1`), linux, { environment });
    open.add(source);
    await readAll(source.openBlob(await layerOf(source)));
    const token = registry.requests.find(({ path }) => path.startsWith("/token"));
    expect(token).toMatchObject({ method: "POST", path: "/token", authorization: undefined });
    expect(Object.fromEntries(new URLSearchParams(token?.body))).toEqual({
      ...{ grant_type: "refresh_token", refresh_token: "refr3sh", client_id: "osdeploy" },
      ...{ service: "fake, registry", scope: "repository:os:pull" },
    });
    expect(JSON.stringify(registry.requests.filter((request) => request !== token))).not.toContain("refr3sh");
  });

  test("an identity token is of no use where a password is asked for", async () => {
    const registry = await open.registry(image, { auth: "basic", user });
    const linux = machineWithFiles({
      "/etc/osdeploy/auth.json": { auths: { [registry.host]: { identitytoken: "refr3sh" } } },
    });
    const source = openImageSource(parseImageReference(`${registry.host}/os:v1`), linux, { environment });
    open.add(source);
    await expect(source.resolve(amd64)).rejects.toThrow(failWith("unauthorized", /check the credentials$/));
  });

  test("a 401 that asks for nothing ends the token: what was asked for last counts on", async () => {
    const registry = await open.registry(image, { auth: "token", silentExpiry: true });
    const source = open.source(registry);
    const layer = await layerOf(source);
    registry.forgetTokens();
    expect(await readAll(source.openBlob(layer))).toHaveLength(layer.sizeBytes);
  });

  test("a 401 that asks for nothing, before anything was asked for, stands", async () => {
    const registry = await open.registry(image, { faults: [{ path: /manifests/, times: 9, status: 401 }] });
    await expect(open.source(registry).resolve(amd64)).rejects.toThrow(
      failWith("unauthorized", /answers 401; no cred/),
    );
  });

  test("a token that runs out in the middle of a blob: the rest comes with a new one", async () => {
    const path = new RegExp(image.layers[0]?.digest ?? "");
    const registry = await open.registry(image, {
      auth: "token",
      faults: [{ path, times: 2, dropAfterBytes: 20_000 }],
    });
    const source = open.source(registry);
    const layer = await layerOf(source);
    const pieces: Uint8Array[] = [];
    for await (const piece of source.openBlob(layer)) {
      pieces.push(piece);
      registry.forgetTokens();
    }
    expect(Buffer.concat(pieces)).toEqual(Buffer.from(image.layers[0]?.blob ?? []));
    const blobs = registry.requests.filter((request) => path.test(request.path));
    expect(blobs.map(({ range }) => range)).toEqual([undefined, "bytes=20000-", "bytes=20000-"]);
    expect(registry.requests.filter((request) => request.path.startsWith("/token"))).toHaveLength(2);
  });

  test("requests side by side share one new token", async () => {
    const registry = await open.registry(image, { auth: "token" });
    const source = open.source(registry);
    const layer = await layerOf(source);
    registry.forgetTokens();
    registry.requests.length = 0;
    const part = (offsetBytes: number) => readAll(source.readBlobRange(layer, { offsetBytes, lengthBytes: 100 }));
    const parts = await Promise.all([0, 1000, 2000, 3000, 4000].map(part));
    expect(parts.map(({ length }) => length)).toEqual([100, 100, 100, 100, 100]);
    expect(registry.requests.filter((request) => request.path.startsWith("/token"))).toHaveLength(1);
  });
});
