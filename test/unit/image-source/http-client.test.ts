import { connect, createServer, type Socket } from "node:net";
import { afterEach, beforeAll, describe, expect, test } from "vitest";
import { openssl, selfSigned } from "../../builders/certificates.ts";
import type { BuiltImage } from "../../builders/oci-image.ts";
import { amd64, buildNoiseImage, bareEnvironment as environment, OpenSources } from "../../builders/oci-source.ts";

let image: BuiltImage;
const open = new OpenSources();

beforeAll(async () => {
  image = await buildNoiseImage();
});

afterEach(() => open.stop());

describe("a registry: proxies", () => {
  test("a proxy of the environment is asked, but not for this machine itself", async () => {
    const asked: string[] = [];
    const https_proxy = await proxyThat((line, socket) => {
      asked.push(line);
      socket.end("HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n");
    });
    const proxied = { ...environment, variables: { ...environment.variables, https_proxy } };
    await expect(
      open.source({ host: "registry.invalid" }, { environment: proxied }).resolve(amd64),
    ).rejects.toMatchObject({ code: "network", message: expect.stringMatching(/: the proxy refuses the connection$/) });
    expect(asked[0]).toBe("CONNECT registry.invalid:443 HTTP/1.1");
    asked.length = 0;
    const direct = { ...proxied, variables: { ...proxied.variables, NO_PROXY: "registry.invalid" } };
    await expect(
      open.source({ host: "registry.invalid" }, { environment: direct }).resolve(amd64),
    ).rejects.toMatchObject({
      code: "network",
    });
    await open.source(await open.registry(image), { environment: proxied }).resolve(amd64);
    expect(asked).toEqual([]);
  });

  test("a proxy that cannot be reached is named, and not the registry behind it", async () => {
    const https_proxy = "user:secret@127.0.0.1:1";
    const proxied = { ...environment, variables: { ...environment.variables, https_proxy } };
    await expect(
      open.source({ host: "registry.invalid" }, { environment: proxied }).resolve(amd64),
    ).rejects.toMatchObject({
      code: "network",
      message: expect.stringMatching(/\/os:v1: the proxy 127\.0\.0\.1:1: nothing listens there$/),
    });
  });

  test("Docker Hub is asked by the name that its registry has", async () => {
    const asked: string[] = [];
    const https_proxy = await proxyThat((line, socket) => {
      asked.push(line);
      socket.end("HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n");
    });
    const variables = { ...environment.variables, https_proxy };
    const source = open.source({ host: "docker.io" }, { environment: { ...environment, variables } });
    await expect(source.resolve(amd64)).rejects.toMatchObject({ code: "network" });
    expect(asked[0]).toBe("CONNECT registry-1.docker.io:443 HTTP/1.1");
  });

  test.skipIf(openssl === undefined)(
    "certificates are checked behind a proxy as without one (needs openssl)",
    async () => {
      const registry = await open.registry(image, { tls: selfSigned() });
      const https_proxy = await proxyThat((_, socket) => {
        const through = connect(Number(registry.host.split(":")[1]), "127.0.0.1", () => {
          socket.write("HTTP/1.1 200 OK\r\n\r\n");
          socket.pipe(through).pipe(socket);
        });
        for (const each of [socket, through]) each.on("error", () => {});
      });
      const proxied = { ...environment, variables: { ...environment.variables, https_proxy } };
      const resolve = async (tlsVerify: boolean) =>
        (await open.source({ host: "registry.invalid" }, { environment: proxied, tlsVerify }).resolve(amd64)).manifest
          .digest;
      await expect(resolve(true)).rejects.toMatchObject({
        code: "network",
        message: expect.stringMatching(/: its certificate cannot be trusted \(/),
      });
      expect(registry.requests).toEqual([]);
      expect(await resolve(false)).toBe(image.manifestDigest);
    },
  );
});

/** The address of a proxy that does this with a connection and the first line of what came over it. */
async function proxyThat(act: (line: string, socket: Socket) => void): Promise<string> {
  const proxy = createServer((socket) => {
    socket.once("data", (data) => act(String(data).split("\r\n")[0] ?? "", socket));
  });
  await new Promise<void>((done) => proxy.listen(0, "127.0.0.1", done));
  open.addServer(proxy);
  const address = proxy.address();
  return `http://127.0.0.1:${typeof address === "object" ? address?.port : ""}`;
}
