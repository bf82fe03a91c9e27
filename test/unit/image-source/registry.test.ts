import { createServer } from "node:http";
import { type AddressInfo, createServer as createNetServer, type Socket } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import { parsePlatform } from "../../../src/core/oci/platform.ts";
import { parseImageReference } from "../../../src/core/oci/reference.ts";
import { openImageSource, type SourceOptions } from "../../../src/image-source/open-image-source.ts";
import { Registry, type RegistryOptions } from "../../../src/image-source/registry.ts";
import { openLinux } from "../../../src/linux/live-linux.ts";
import { openssl, selfSigned, signedBy } from "../../builders/certificates.ts";
import { machineWithFiles } from "../../builders/configuration.ts";
import { buildImage } from "../../builders/oci-image.ts";
import { FakeRegistry, type FakeRegistryOptions } from "../../fakes/fake-registry.ts";

const open: { stop(): Promise<void> }[] = [];

/** Nobody in particular, who knows no authorities of his own. */
const patient: RegistryOptions = {
  ...{ login: undefined, tlsVerify: true, tls: { own: undefined, others: undefined }, now: () => 0 },
  proxies: { http: undefined, https: undefined, except: [] },
  timeouts: { connectMs: 2_000, headersMs: 2_000, idleMs: 2_000 },
  retry: { tries: 2, delayMs: 1, random: () => 0, signal: undefined },
};

afterEach(async () => {
  for (const each of open.splice(0)) await each.stop();
});

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

describe("what a registry is trusted with", () => {
  /** Reaches this machine, and is no name of its loopback. */
  const elsewhere = (registry: FakeRegistry) => registry.host.replace("127.0.0.1", "0.0.0.0");

  test("plain HTTP is taken from another machine only where certificates need not be trusted", async () => {
    const { registry, digest } = await start({});
    const there = { host: elsewhere(registry) } as FakeRegistry;
    await expect(resolveFrom(there)).rejects.toMatchObject({ code: "network" });
    expect(registry.requests).toEqual([]);
    expect(await resolveFrom(there, { tlsVerify: false })).toBe(digest);
  });

  test.skipIf(openssl === undefined)(
    "who spoke TLS once is asked nothing in plain HTTP afterwards (needs openssl)",
    async () => {
      const { registry } = await start({ tls: selfSigned(), auth: "token" });
      const options = { ...patient, tlsVerify: false, retry: { ...patient.retry, tries: 1 } };
      const opened = await Registry.open({ host: registry.host, repository: "os" }, options);
      open.push({ stop: () => opened.close() });
      const answer = await opened.get("manifests/v1", {}, "fetch it");
      expect(answer.status).toBe(200);
      answer.body.destroy();
      await registry.stop();
      const asked: string[] = [];
      const plain = createServer((request, response) => {
        asked.push(request.url ?? "");
        response.end();
      });
      await new Promise<void>((done) => plain.listen(Number(registry.host.split(":")[1]), "127.0.0.1", done));
      open.push({ stop: () => new Promise((done) => plain.close(() => done())) });
      // The first of them only finds out that the old connection is gone.
      for (let i = 0; i < 3; i++) await expect(opened.get("manifests/v1", {}, "fetch it")).rejects.toBeDefined();
      expect(asked).toEqual([]);
    },
  );
});

describe("how long a registry is waited for", () => {
  /** A server on which `act` has the connections. */
  async function serverThat(act: (socket: Socket) => void): Promise<{ readonly host: string }> {
    const sockets: Socket[] = [];
    const server = createNetServer((socket) => {
      sockets.push(socket.on("error", () => {}));
      act(socket);
    });
    await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
    const stop = () =>
      new Promise<void>((done) => {
        for (const socket of sockets) socket.destroy();
        server.close(() => done());
      });
    open.push({ stop });
    return { host: `127.0.0.1:${(server.address() as AddressInfo).port}` };
  }

  const timeouts = { connectMs: 10_000, headersMs: 10_000, idleMs: 10_000 };

  test("one that takes connections and says nothing is tried again, and given up", async () => {
    let connections = 0;
    const { host } = await serverThat(() => connections++);
    const resolving = resolveFrom({ host } as FakeRegistry, { timeouts: { ...timeouts, connectMs: 100 } });
    await expect(resolving).rejects.toMatchObject({
      code: "network",
      message: expect.stringMatching(/: no connection within the time allowed$/),
    });
    expect(connections).toBe(2);
  });

  test("one that takes requests and does not answer them is tried again, and given up", async () => {
    let requests = 0;
    const { host } = await serverThat((socket) =>
      socket.on("data", (data) => {
        if (String(data).startsWith("GET ")) requests++;
        else socket.end("what?");
      }),
    );
    const resolving = resolveFrom({ host } as FakeRegistry, { timeouts: { ...timeouts, headersMs: 100 } });
    await expect(resolving).rejects.toMatchObject({
      code: "network",
      message: expect.stringMatching(/: no answer within the time allowed$/),
    });
    expect(requests).toBe(2);
  });

  test("the shortest time to an answer is its latency", async () => {
    const { registry } = await start({});
    const times = [0, 50, 100, 110, 200, 230];
    const options = { ...patient, now: () => times.shift() ?? 0 };
    const opened = await Registry.open({ host: registry.host, repository: "os" }, options);
    open.push({ stop: () => opened.close() });
    expect(opened.latencyMs).toBeUndefined();
    // The first of them finds out that there is no TLS, and looks at the clock.
    times.unshift(0);
    for (let i = 0; i < 3; i++) (await opened.get("manifests/v1", {}, "fetch it")).body.destroy();
    expect(opened.latencyMs).toBe(10);
  });
});

describe.skipIf(openssl === undefined)("certs.d (needs openssl)", () => {
  const directory = (registry: FakeRegistry, base = "/etc/containers") => `${base}/certs.d/${registry.host}`;

  async function resolveOn(
    registry: { readonly host: string },
    files: Readonly<Record<string, string>>,
  ): Promise<string> {
    const source = openImageSource(parseImageReference(`${registry.host}/os:v1`), machineWithFiles(files), {
      environment: { variables: { HOME: "/h" }, userId: 0 },
      retry: { tries: 1, delayMs: 1 },
    });
    open.push({ stop: () => source.close() });
    return (await source.resolve(parsePlatform("amd64"))).manifest.digest;
  }

  test("an authority for the registry's host and port is trusted, besides those of the system", async () => {
    const tls = selfSigned();
    const { registry, digest } = await start({ tls });
    for (const base of ["/h/.config/containers", "/etc/containers", "/etc/docker"]) {
      expect(await resolveOn(registry, { [`${directory(registry, base)}/ca.crt`]: tls.cert })).toBe(digest);
    }
    expect(await resolveOn(registry, { "/etc/ssl/certs/ca-certificates.crt": tls.cert })).toBe(digest);
    const both = { "/etc/ssl/cert.pem": selfSigned("b").cert, [`${directory(registry)}/ca.crt`]: tls.cert };
    expect(await resolveOn(registry, both)).toBe(digest);
    const damaged = {
      [`${directory(registry)}/a.crt`]: "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    };
    expect(await resolveOn(registry, { ...damaged, [`${directory(registry)}/ca.crt`]: tls.cert })).toBe(digest);
    await expect(resolveOn(registry, damaged)).rejects.toMatchObject({
      ...{ code: "network", message: expect.stringMatching(/: its certificate cannot be trusted/) },
    });
    await expect(resolveOn(registry, { "/etc/containers/certs.d/127.0.0.1/ca.crt": tls.cert })).rejects.toMatchObject({
      code: "network",
    });
  });

  test("only the first directory that is there counts", async () => {
    const tls = selfSigned();
    const { registry } = await start({ tls });
    const files = {
      [`${directory(registry, "/h/.config/containers")}/other.txt`]: "",
      [`${directory(registry)}/ca.crt`]: tls.cert,
    };
    await expect(resolveOn(registry, files)).rejects.toMatchObject({ code: "network" });
  });

  test("a client certificate is shown to the registry that asks for it", async () => {
    const authority = selfSigned("ca");
    const tls = { ...selfSigned(), ca: authority.cert, requestCert: true, rejectUnauthorized: true };
    const { registry, digest } = await start({ tls });
    const client = signedBy(authority);
    const at = directory(registry);
    const files = { [`${at}/ca.crt`]: tls.cert, [`${at}/client.cert`]: client.cert, [`${at}/client.key`]: client.key };
    expect(await resolveOn(registry, files)).toBe(digest);
    await expect(resolveOn(registry, { [`${at}/ca.crt`]: tls.cert })).rejects.toMatchObject({ code: "network" });
  });

  test.each([
    [
      "TLSv1.2",
      /: it refuses the connection; it may want another client certificate \(ERR_SSL_.*ALERT_HANDSHAKE_FAILURE\)$/,
    ],
    ["TLSv1.3", /: the connection broke$/],
  ] as const)(
    "no client certificate where one is wanted (%s): told so, and no plain HTTP is tried",
    async (maxVersion, message) => {
      const tls = selfSigned();
      const strict = { ...tls, ca: selfSigned("ca").cert, requestCert: true, rejectUnauthorized: true, maxVersion };
      const { registry } = await start({ tls: strict });
      const files = { [`${directory(registry)}/ca.crt`]: tls.cert };
      await expect(resolveOn(registry, files)).rejects.toMatchObject({
        code: "network",
        message: expect.stringMatching(message),
      });
    },
  );

  test("of several client certificates the first of each kind of key is shown", async () => {
    const authority = selfSigned("ca");
    const tls = { ...selfSigned(), ca: authority.cert, requestCert: true, rejectUnauthorized: true };
    const { registry, digest } = await start({ tls });
    const at = directory(registry);
    const [right, other] = [signedBy(authority), signedBy(selfSigned("other"))];
    const rsa = signedBy(selfSigned("other"), "rsa");
    const files = (clients: Readonly<Record<string, typeof right>>) =>
      Object.fromEntries([
        [`${at}/ca.crt`, tls.cert],
        ...Object.entries(clients).flatMap(([name, { cert, key }]) => [
          [`${at}/${name}.cert`, cert],
          [`${at}/${name}.key`, key],
        ]),
      ]);
    expect(await resolveOn(registry, files({ a: right, b: other }))).toBe(digest);
    expect(await resolveOn(registry, files({ a: right, b: rsa, c: other }))).toBe(digest);
    await expect(resolveOn(registry, files({ a: other, b: right }))).rejects.toMatchObject({ code: "network" });
    const mixed = files({ a: right, b: { cert: right.cert, key: other.key } });
    await expect(resolveOn(registry, mixed)).rejects.toMatchObject({
      code: "bad-format",
      message: `Cannot use "${at}/b.cert" and "${at}/b.key": one of them is damaged, or they do not belong together`,
    });
  });

  test("a client certificate is shown to the registry also when its host is written in another way", async () => {
    const authority = selfSigned("ca");
    const tls = { ...selfSigned(), ca: authority.cert, requestCert: true, rejectUnauthorized: true };
    const { registry, digest } = await start({ tls });
    const client = signedBy(authority);
    const host = registry.host.replace("127.0.0.1", "127.1");
    const at = `/etc/containers/certs.d/${host}`;
    const files = { [`${at}/ca.crt`]: tls.cert, [`${at}/client.cert`]: client.cert, [`${at}/client.key`]: client.key };
    expect(await resolveOn({ host }, files)).toBe(digest);
  });

  test("a client certificate is shown to nobody that the registry redirects to", async () => {
    const authority = selfSigned("ca");
    const tls = selfSigned();
    const strict = await start({ tls: { ...tls, ca: authority.cert, requestCert: true, rejectUnauthorized: true } });
    const headers = { location: `https://${strict.registry.host}/v2/os/manifests/v1` };
    const { registry } = await start({ tls, faults: [{ path: /manifests/, status: 307, headers }] });
    const client = signedBy(authority);
    const at = directory(registry);
    const files = { [`${at}/ca.crt`]: tls.cert, [`${at}/c.cert`]: client.cert, [`${at}/c.key`]: client.key };
    await expect(resolveOn(registry, files)).rejects.toMatchObject({ code: "network" });
    expect(strict.registry.requests).toEqual([]);
  });

  test("a certificate without its key, and what is none, are errors that say where", async () => {
    const { registry } = await start({});
    const at = directory(registry);
    await expect(resolveOn(registry, { [`${at}/client.cert`]: "x" })).rejects.toMatchObject({
      code: "bad-format",
      message: expect.stringContaining(`Cannot use "${at}": it has no client.key; a client certificate is`),
    });
    await expect(resolveOn(registry, { [`${at}/client.key`]: "x" })).rejects.toThrow("it has no client.cert");
    const broken = { [`${at}/c.cert`]: "x", [`${at}/c.key`]: "x" };
    await expect(resolveOn(registry, broken)).rejects.toThrow("one of them is damaged");
  });

  test("insecure in registries.conf is of the mirror alone, also where it is the same place", async () => {
    const { registry } = await start({ tls: selfSigned() });
    const place = `location = "${registry.host}"`;
    const conf = `[[registry]]\n${place}\n[[registry.mirror]]\n${place}\ninsecure = true\n`;
    const linux = machineWithFiles({ "/etc/containers/registries.conf": conf });
    const options = { environment: { variables: {}, userId: 0 }, retry: { tries: 1, delayMs: 1 } };
    const source = openImageSource(parseImageReference(`${registry.host}/os:v2`), linux, options);
    open.push({ stop: () => source.close() });
    await expect(source.resolve(parsePlatform("amd64"))).rejects.toMatchObject({
      code: "network",
      message: expect.stringMatching(/: its certificate cannot be trusted .*; before that: .* from the mirror/),
    });
  });

  test("insecure in registries.conf: any certificate for this place, and for no other", async () => {
    const [main, mirror] = [await start({}), await start({ tls: selfSigned() })];
    for (const [insecure, delivering] of [
      [false, main.registry],
      [true, mirror.registry],
    ] as const) {
      const conf = `[[registry]]\nlocation = "${main.registry.host}"\n[[registry.mirror]]\nlocation = "${mirror.registry.host}"\ninsecure = ${insecure}\n`;
      const linux = machineWithFiles({ "/etc/containers/registries.conf": conf });
      const source = openImageSource(parseImageReference(`${main.registry.host}/os:v1`), linux, {
        environment: { variables: {}, userId: 0 },
      });
      open.push({ stop: () => source.close() });
      await source.resolve(parsePlatform("amd64"));
      expect(source.registry()?.physical.host).toBe(delivering.host);
    }
  });
});
