import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, describe, expect, test } from "vitest";
import { parsePlatform } from "../../../src/core/oci/platform.ts";
import { parseImageReference } from "../../../src/core/oci/reference.ts";
import { openImageSource, type SourceOptions } from "../../../src/image-source/open-image-source.ts";
import { openLinux } from "../../../src/linux/live-linux.ts";
import { buildImage } from "../../builders/oci-image.ts";
import { FakeRegistry, type FakeRegistryOptions } from "../../fakes/fake-registry.ts";
import { findTool } from "../../tools/find-tool.ts";

const openssl = findTool("openssl");
const directory = mkdtempSync(join(tmpdir(), "registry-"));
const open: { stop(): Promise<void> }[] = [];

afterAll(() => rmSync(directory, { recursive: true }));
afterEach(async () => {
  for (const each of open.splice(0)) await each.stop();
});

function selfSigned(): { readonly key: string; readonly cert: string } {
  const [key, cert] = [join(directory, "key.pem"), join(directory, "cert.pem")];
  const request = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=fake".split(" ");
  execFileSync(String(openssl), [...request, "-keyout", key, "-out", cert], { stdio: "ignore" });
  return { key: readFileSync(key, "utf8"), cert: readFileSync(cert, "utf8") };
}

async function resolveFrom(registry: FakeRegistry, options: Partial<SourceOptions> = {}): Promise<string> {
  const environment = { variables: { HOME: "/nowhere" }, userId: 4_000_000 };
  const retry = { tries: 2, delayMs: 1 };
  const source = openImageSource(parseImageReference(`${registry.host}/os:v1`), openLinux(), {
    environment,
    retry,
    ...options,
  });
  open.push({ stop: () => source.close() });
  return (await source.resolve(parsePlatform("amd64"))).manifest.digest;
}

async function start(options: FakeRegistryOptions): Promise<{ registry: FakeRegistry; digest: string }> {
  const registry = await FakeRegistry.start(options);
  open.push(registry);
  const image = await buildImage({ layers: [[{ path: "usr/" }]] });
  registry.add(image, "v1");
  return { registry, digest: image.manifestDigest };
}

describe("how a registry is reached", () => {
  test("on loopback, plain HTTP is taken where nobody speaks TLS", async () => {
    const { registry, digest } = await start({});
    expect(await resolveFrom(registry)).toBe(digest);
  });

  test.skipIf(openssl === undefined)(
    "a certificate nobody vouches for is refused, also on loopback (needs openssl)",
    async () => {
      const { registry } = await start({ tls: selfSigned() });
      await expect(resolveFrom(registry)).rejects.toMatchObject({
        code: "network",
        message: expect.stringMatching(/: its certificate cannot be trusted \(/),
      });
      expect(registry.requests).toEqual([]);
    },
  );

  test.skipIf(openssl === undefined)("--tls-verify=false takes any certificate (needs openssl)", async () => {
    const { registry, digest } = await start({ tls: selfSigned(), auth: "token" });
    expect(await resolveFrom(registry, { tlsVerify: false })).toBe(digest);
  });

  test.skipIf(openssl === undefined)(
    "a registry with TLS cannot send us to plain HTTP: neither for tokens nor for content (needs openssl)",
    async () => {
      const plain = await start({});
      const token = await start({ tls: selfSigned(), auth: "token", realm: `http://${plain.registry.host}/token` });
      await expect(resolveFrom(token.registry, { tlsVerify: false })).rejects.toThrow(
        "it names no token server that can be used",
      );
      const headers = { location: `http://${plain.registry.host}/v2/os/manifests/v1` };
      const redirect = await start({ tls: selfSigned(), faults: [{ path: /manifests/, status: 307, headers }] });
      await expect(resolveFrom(redirect.registry, { tlsVerify: false })).rejects.toThrow(
        "it redirects from https to plain http",
      );
      expect(plain.registry.requests).toEqual([]);
    },
  );
});
