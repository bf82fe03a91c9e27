import { request } from "node:http";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { ImageServer, type ServedImage } from "../../../src/lab/image-server.ts";

const digest = `sha256:${"a".repeat(64)}`;
const blobDigest = `sha256:${"b".repeat(64)}`;
const content = new TextEncoder().encode("0123456789");
const manifest = {
  mediaType: "application/vnd.oci.image.manifest.v1+json",
  digest,
  bytes: new TextEncoder().encode("{}"),
};

/** In pieces of three bytes. */
async function* pieces(offset: number): AsyncGenerator<Uint8Array> {
  for (let at = offset; at < content.length; at += 3) yield content.subarray(at, at + 3);
}

const image: ServedImage = { manifest, blobs: new Map([[blobDigest, { sizeBytes: content.length, open: pieces }]]) };

describe("ImageServer", () => {
  let server: ImageServer;
  beforeEach(async () => {
    server = await ImageServer.start(0, image);
  });
  afterEach(async () => await server.stop());

  const get = (path: string, init: RequestInit = {}) => fetch(`http://127.0.0.1:${server.port}${path}`, init);

  test("is a registry of version 2, and nothing else", async () => {
    expect((await get("/v2/")).status).toBe(200);
    expect((await get("/v2/", { method: "POST" })).status).toBe(405);
    for (const path of ["/", "/v1/", "/v2/os/tags/list"]) {
      const answer = await get(path);
      expect(answer.status, path).toBe(404);
      expect(await answer.json()).toMatchObject({ errors: [{ code: "NAME_UNKNOWN" }] });
    }
  });

  test("paths that are none get an answer like others", async () => {
    for (const path of ["//", "http://", "/v2/os/manifests/", "/v2//"]) {
      const status = await new Promise((resolve, reject) => {
        const asked = request({ port: server.port, path }, (answer) => resolve(answer.resume().statusCode));
        asked.on("error", reject).end();
      });
      expect(status, path).toBe(404);
    }
  });

  test("manifests: under every tag of every repository and under its digest, not under others", async () => {
    const asked = ["/v2/os/manifests/latest", "/v2/os/manifests/latest?ns=lab", "/v2/a/b/manifests/v2"];
    for (const path of [...asked, `/v2/os/manifests/${digest}`, `/v2/os/manifests/${digest}?ns=lab`]) {
      const answer = await get(path);
      expect(answer.headers.get("docker-content-digest")).toBe(digest);
      expect(answer.headers.get("content-type")).toBe(manifest.mediaType);
      expect(await answer.text()).toBe("{}");
    }
    expect(await (await get(`/v2/os/manifests/${blobDigest}`)).json()).toMatchObject({
      errors: [{ code: "MANIFEST_UNKNOWN" }],
    });
    const head = await get("/v2/os/manifests/latest", { method: "HEAD" });
    expect([head.headers.get("content-length"), await head.text()]).toEqual(["2", ""]);
  });

  test("blobs: whole, and their sizes", async () => {
    expect(await (await get(`/v2/os/blobs/${blobDigest}`)).text()).toBe("0123456789");
    const head = await get(`/v2/os/blobs/${blobDigest}`, { method: "HEAD" });
    expect([head.headers.get("content-length"), await head.text()]).toEqual(["10", ""]);
    expect((await get(`/v2/os/blobs/${digest}`)).status).toBe(404);
  });

  test.each([
    ["bytes=4-", "456789", "bytes 4-9/10"],
    ["bytes=2-5", "2345", "bytes 2-5/10"],
    ["bytes=0-0", "0", "bytes 0-0/10"],
    ["bytes=7-99", "789", "bytes 7-9/10"],
  ])("blobs: the range %s", async (range, text, contentRange) => {
    const answer = await get(`/v2/os/blobs/${blobDigest}`, { headers: { range } });
    expect([answer.status, answer.headers.get("content-range")]).toEqual([206, contentRange]);
    expect(await answer.text()).toBe(text);
  });

  test.each(["bytes=10-", "bytes=5-4", "bytes=-3", "bytes=0-1,3-4", "lines=1-2"])(
    "blobs: %s gets the whole, as a server may answer",
    async (range) => {
      const answer = await get(`/v2/os/blobs/${blobDigest}`, { headers: { range } });
      expect([answer.status, await answer.text()]).toEqual([200, "0123456789"]);
    },
  );

  test("a source that breaks breaks the connection, and not the server", async () => {
    const open = async function* () {
      yield content.subarray(0, 3);
      throw new Error("gone");
    };
    server.offer({ manifest, blobs: new Map([[blobDigest, { sizeBytes: 10, open }]]) });
    await expect(get(`/v2/os/blobs/${blobDigest}`).then((answer) => answer.text())).rejects.toThrow();
    expect((await get("/v2/")).status).toBe(200);
  });

  test("offer: another image from now on", async () => {
    server.offer({ manifest: { ...manifest, digest: blobDigest }, blobs: new Map() });
    expect((await get("/v2/os/manifests/latest")).headers.get("docker-content-digest")).toBe(blobDigest);
    expect((await get(`/v2/os/blobs/${blobDigest}`)).status).toBe(404);
  });

  test("start: says so when the port is taken", async () => {
    await expect(ImageServer.start(server.port, image)).rejects.toMatchObject({
      code: "busy",
      message: expect.stringMatching(/^Cannot offer images on port \d+: .*EADDRINUSE/),
    });
  });
});
