import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { fromText } from "../../src/core/bytes/byte-string.ts";
import { parseImageReference } from "../../src/core/oci/reference.ts";
import { openLinux } from "../../src/linux/live-linux.ts";
import { copyImage } from "../../src/operations/copy-image.ts";
import type { PullResult } from "../../src/operations/pull.ts";
import { openssl, selfSigned } from "../builders/certificates.ts";
import { buildChunkedImage, buildChunkedLayer } from "../builders/chunked-layer.ts";
import { type BuiltImage, buildImage } from "../builders/oci-image.ts";
import { writeLayout } from "../builders/oci-layout.ts";
import { linuxAmd64, repoOfSysroot, systemOn } from "../builders/operation-machine.ts";
import { bytesHere, endOf, expectInOrder, machineFor, noise, pullOn } from "../builders/registry-machine.ts";
import type { FakeLinux } from "../fakes/fake-linux.ts";
import {
  type DockerRegistry,
  hasDockerRegistry,
  pushLayout,
  registryUser,
  startDockerRegistry,
} from "../tools/docker-registry.ts";
import { freePort, hasNginx, type Nginx, type NginxOptions, type NginxServer, startNginx } from "../tools/nginx.ts";

const canRun = hasNginx && hasDockerRegistry && openssl !== undefined;
const directory = mkdtempSync(join(tmpdir(), "registry-nginx-"));
const patient = { retry: { tries: 8, delayMs: 200 } };

let registry: DockerRegistry;
let tls: NginxOptions["tls"];
let image: BuiltImage;
const chunked: BuiltImage[] = [];
const running: Nginx[] = [];

beforeAll(async () => {
  if (!canRun) return;
  const layers = [150_000, 40_000, 3_000].map((length, at) => [
    { path: "usr/" },
    { path: `usr/f${at}`, content: noise(length, at) },
  ]);
  image = await buildImage({ layers });
  for (const version of [1, 2]) {
    const files = Array.from({ length: 20 }, (_, at) => ({
      path: `usr/c${at}`,
      content: noise(30_000, at < 2 ? 1000 * version + at : at),
    }));
    chunked.push(buildChunkedImage([await buildChunkedLayer([{ path: "usr/", mtime: version }, ...files])]));
  }
  const tagged = [{ image, tag: "v1" }, ...chunked.map((each, at) => ({ image: each, tag: `chunked${at + 1}` }))];
  writeLayout(join(directory, "layout"), tagged);
  tls = selfSigned();
  registry = await startDockerRegistry(join(directory, "registry"), { login: true });
  for (const { tag } of tagged) {
    await pushLayout(`${join(directory, "layout")}:${tag}`, `${registry.host}/lab/os:${tag}`, { login: true });
  }
}, 120_000);

afterEach(async () => {
  for (const nginx of running.splice(0)) await nginx.stop();
});
afterAll(async () => {
  await registry?.stop();
  rmSync(directory, { recursive: true });
});

/** What passes a request on to the registry, or to another server of this nginx. */
function pass(more = "", to = registry.host): string {
  const headers = "proxy_set_header Host $http_host; proxy_set_header X-Forwarded-Proto https;";
  return `location / { proxy_pass http://${to}; ${headers} ${more} }`;
}

interface Front {
  readonly host: string;
  readonly port: number;
  readonly nginx: Nginx;
}

/** An nginx with TLS in front of the registry. */
async function front(
  directives: string,
  options: { readonly port?: number; readonly http?: string; readonly others?: readonly NginxServer[] } = {},
): Promise<Front> {
  const port = options.port ?? (await freePort());
  const servers = [{ port, directives }, ...(options.others ?? [])];
  const nginx = await startNginx(join(directory, `nginx-${port}`), { tls, servers, http: options.http ?? "" });
  running.push(nginx);
  return { host: `127.0.0.1:${port}`, port, nginx };
}

/** Bytes of blobs that the server at this port sent. */
function blobBytes({ nginx, port }: Front): number {
  const blobs = nginx.requests().filter((each) => each.port === port && each.path.includes("/blobs/sha256:"));
  return blobs.filter(({ status }) => status < 300).reduce((sum, each) => sum + each.bodyBytes, 0);
}

const layerBytes = () => image.layers.reduce((sum, { blob }) => sum + blob.length, 0);
const statuses = ({ nginx }: Front) => new Set(nginx.requests().map(({ status }) => status));

/** The next run, undisturbed and at the same address: it brings only what is missing. */
async function expectRest(linux: FakeLinux, { nginx, port }: Front): Promise<PullResult> {
  await expectInOrder(linux);
  const missing = layerBytes() - bytesHere(linux, image);
  await nginx.stop();
  const whole = await front(pass(), { port });
  const pulled = await pullOn(linux, whole.host);
  expect(blobBytes(whole)).toBe(missing + image.config.length);
  await expectInOrder(linux);
  expect(linux.files.readDirectory(fromText(`${repoOfSysroot}/staging`))).toEqual([]);
  return pulled;
}

const skipped = canRun ? "" : " (skipped: needs nginx, docker-registry, skopeo and openssl)";

describe.skipIf(!canRun)(`a registry with a login behind nginx with TLS${skipped}`, () => {
  test("an image comes through it, each layer once, with the login at the first try that needs it", async () => {
    const proxy = await front(pass());
    const linux = await machineFor(proxy.host, tls.cert);
    expect((await pullOn(linux, proxy.host)).manifestDigest).toBe(image.manifestDigest);
    expect(blobBytes(proxy)).toBe(layerBytes() + image.config.length);
    expect(proxy.nginx.requests().filter(({ status }) => status === 401)).toHaveLength(1);
    await expectInOrder(linux);
  });

  test.each([429, 503])("who asks too often (%i) waits and gets it; who does not wait is told", async (status) => {
    const http = "limit_req_zone $binary_remote_addr zone=few:1m rate=4r/s;";
    const proxy = await front(pass(`limit_req zone=few; limit_req_status ${status};`), { http });
    const hasty = await machineFor(proxy.host, tls.cert);
    const { code, message } = await endOf(pullOn(hasty, proxy.host));
    expect([code, message]).toEqual(["network", expect.stringContaining(`the registry answers ${status}`)]);
    const waiting = await machineFor(proxy.host, tls.cert);
    expect((await pullOn(waiting, proxy.host, patient)).manifestDigest).toBe(image.manifestDigest);
    expect(statuses(proxy)).toContain(status);
    await expectRest(hasty, proxy);
  });

  test("Retry-After is what is waited for", async () => {
    const later = "error_page 429 = @later; location @later { add_header Retry-After 1 always; return 429; }";
    const http = "limit_req_zone $binary_remote_addr zone=one:1m rate=1r/s;";
    const proxy = await front(`${later} ${pass("limit_req zone=one burst=4 nodelay; limit_req_status 429;")}`, {
      http,
    });
    const linux = await machineFor(proxy.host, tls.cert);
    // Its own delays would end after some milliseconds.
    await pullOn(linux, proxy.host, { retry: { tries: 8, delayMs: 1 } });
    expect(statuses(proxy)).toContain(429);
    await expectInOrder(linux);
  }, 60_000);

  test("a blob that breaks off again and again goes on where it broke", async () => {
    // The inner server sends 40 kB and then next to nothing; the outer one gives up after a second, in the middle.
    const inner = await freePort();
    const slow = { port: inner, isPlain: true, directives: pass("limit_rate_after 40k; limit_rate 1;") };
    const outer = pass("proxy_read_timeout 1s; proxy_buffering off;", `127.0.0.1:${inner}`);
    const proxy = await front(outer, { others: [slow] });
    const linux = await machineFor(proxy.host, tls.cert);
    const idle = { connectMs: 5_000, headersMs: 5_000, idleMs: 5_000 };
    await pullOn(linux, proxy.host, { retry: { tries: 5, delayMs: 1 }, timeouts: idle });
    const ranges = proxy.nginx.requests().filter((each) => each.port === proxy.port && each.range !== undefined);
    expect(ranges.map(({ status }) => status)).toEqual([206, 206]);
    expect(blobBytes(proxy)).toBeLessThanOrEqual(layerBytes() + image.config.length + 100);
    await expectInOrder(linux);
  }, 60_000);

  test("an nginx that is killed in the middle of a blob: the next run fetches only the rest", async () => {
    const proxy = await front(pass("limit_rate_after 60k; limit_rate 1k;"));
    const linux = await machineFor(proxy.host, tls.cert);
    const ending = endOf(pullOn(linux, proxy.host, { timeouts: { connectMs: 500, headersMs: 500, idleMs: 5_000 } }));
    await untilThere(() => bytesHere(linux, image) > 50_000);
    await proxy.nginx.stop();
    expect((await ending).code).toBe("network");
    expect(bytesHere(linux, image)).toBeGreaterThan(50_000);
    await expectRest(linux, proxy);
  });

  test("a cache that knows no ranges sends the whole, of which the rest is taken", async () => {
    const cut = await front(pass("limit_rate_after 60k; limit_rate 1;"));
    const linux = await machineFor(cut.host, tls.cert);
    expect((await endOf(pullOn(linux, cut.host, { retry: { tries: 1, delayMs: 1 } }))).code).toBe("network");
    const here = bytesHere(linux, image);
    expect(here).toBeGreaterThan(0);
    await cut.nginx.stop();
    const cache = await frontWithCache(cut.port);
    expect((await pullOn(linux, cache.host)).manifestDigest).toBe(image.manifestDigest);
    const asked = cache.nginx.requests().filter(({ range }) => range !== undefined);
    expect(asked.map(({ status }) => status)).toEqual([200]);
    await expectInOrder(linux);
  });

  test("a cache that knows no ranges: zstd:chunked layers come whole, and it is asked for a part once", async () => {
    const cache = await frontWithCache();
    const linux = await machineFor(cache.host, tls.cert);
    await pullOn(linux, cache.host, { tag: "chunked1" });
    const { rawImage } = await pullOn(linux, cache.host, { tag: "chunked2" });
    const parts = cache.nginx.requests().filter(({ range }) => range !== undefined);
    expect(parts.map(({ status }) => status)).toEqual([200]);
    const other = await machineFor(cache.host, tls.cert);
    expect((await pullOn(other, cache.host, { tag: "chunked2" })).rawImage).toBe(rawImage);
    await expectInOrder(linux);
  });

  test("blobs are sent on to another host: no login goes there", async () => {
    const other = await freePort();
    const authorization = Buffer.from(`${registryUser.user}:${registryUser.password}`).toString("base64");
    const login = `proxy_set_header Authorization "Basic ${authorization}";`;
    const away = `location ~ /blobs/ { return 307 https://127.0.0.1:${other}$request_uri; }`;
    const proxy = await front(`${away} ${pass()}`, { others: [{ port: other, directives: pass(login) }] });
    const linux = await machineFor(proxy.host, tls.cert);
    expect((await pullOn(linux, proxy.host)).manifestDigest).toBe(image.manifestDigest);
    const strangers = proxy.nginx.requests().filter((each) => each.port === other);
    expect(strangers).toHaveLength(image.layers.length + 1);
    expect(strangers.map((each) => each.authorization)).toEqual(strangers.map(() => undefined));
    await expectInOrder(linux);
  });

  test("JSON that nginx would compress comes as it is", async () => {
    const proxy = await front(`gzip on; gzip_min_length 1; gzip_proxied any; gzip_types *; ${pass()}`);
    const linux = await machineFor(proxy.host, tls.cert);
    expect((await pullOn(linux, proxy.host)).manifestDigest).toBe(image.manifestDigest);
    expect(blobBytes(proxy)).toBe(layerBytes() + image.config.length);
    await expectInOrder(linux);
  });

  test("a proxy that compresses although nobody asked: the pull fails clearly", async () => {
    const inner = await freePort();
    const gzip = `gzip on; gzip_min_length 1; gzip_proxied any; gzip_types *; ${pass()}`;
    const outer = pass("proxy_set_header Accept-Encoding gzip; proxy_http_version 1.1;", `127.0.0.1:${inner}`);
    const proxy = await front(outer, { others: [{ port: inner, isPlain: true, directives: gzip }] });
    const linux = await machineFor(proxy.host, tls.cert);
    const { code, message } = await endOf(pullOn(linux, proxy.host));
    expect([code, message]).toEqual([
      "unsupported",
      expect.stringMatching(/compressed with "gzip", which was not asked for/),
    ]);
    await expectRest(linux, proxy);
  });

  test("a registry that is down (502), comes back while it is asked for, and goes away in the middle", async () => {
    const port = Number((await startAnother("down")).host.split(":")[1]);
    const proxy = await front(pass("", `127.0.0.1:${port}`));
    const linux = await machineFor(proxy.host, tls.cert);
    await another?.stop();
    const { code, message } = await endOf(pullOn(linux, proxy.host));
    expect([code, message]).toEqual(["network", expect.stringContaining("the registry answers 502")]);
    await expectInOrder(linux);
    const pulling = pullOn(linux, proxy.host, patient);
    await untilThere(() => statuses(proxy).has(502) && proxy.nginx.requests().length > 3);
    await startAnother("down", port);
    expect((await pulling).manifestDigest).toBe(image.manifestDigest);
    await another?.stop();
    await expectInOrder(linux);
  });

  test("client_max_body_size too small for a layer: a push says so, and nothing gets the name", async () => {
    const proxy = await front(`client_max_body_size 50k; ${pass()}`);
    const pushing = (to: Front) => push(`${to.host}/lab/copy:v1`);
    const { code, message } = await endOf(pushing(proxy));
    expect([code, message]).toEqual([
      "network",
      expect.stringMatching(/^Cannot send blob sha256:.* 413: it is too large/),
    ]);
    expect(proxy.nginx.requests().filter(({ method, path }) => method === "PUT" && path.includes("manifests"))).toEqual(
      [],
    );
    await proxy.nginx.stop();
    const large = await front(`client_max_body_size 10m; ${pass()}`, { port: proxy.port });
    expect((await endOf(pushing(large))).code).toBe("done");
    const linux = await machineFor(large.host, tls.cert);
    expect((await pullOn(linux, large.host)).manifestDigest).toBe(image.manifestDigest);
  });
});

let another: DockerRegistry | undefined;
/** A registry with the same files that can go away. */
async function startAnother(name: string, port = 0): Promise<DockerRegistry> {
  another = await startDockerRegistry(join(directory, name), { login: true, port });
  if (port === 0) {
    await pushLayout(`${join(directory, "layout")}:v1`, `${another.host}/lab/os:v1`, { login: true });
  }
  return another;
}

/** nginx as a cache, whose own answers know no ranges. */
async function frontWithCache(port?: number): Promise<Front> {
  const http = `proxy_cache_path ${join(directory, `cache-${await freePort()}`)} keys_zone=blobs:1m;`;
  const cached = "proxy_cache blobs; proxy_cache_valid 200 1h; max_ranges 0;";
  return front(pass(cached), { http, ...(port === undefined ? {} : { port }) });
}

function push(to: string): Promise<unknown> {
  const environment = { variables: { HOME: directory, TMPDIR: directory }, userId: 0 };
  return copyImage(systemOn(openLinux()), {
    image: parseImageReference(`oci:${join(directory, "layout")}:v1`),
    destination: parseImageReference(to),
    platform: linuxAmd64,
    source: { environment },
    destinationOptions: { environment, tlsVerify: false, credentials: registryUser, retry: { tries: 3, delayMs: 1 } },
    ...{ format: undefined, level: undefined, removeSignatures: false },
  });
}

async function untilThere(isThere: () => boolean): Promise<void> {
  while (!isThere()) await new Promise((done) => setTimeout(done, 20));
}
