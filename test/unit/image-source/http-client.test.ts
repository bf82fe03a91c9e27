import { createServer } from "node:net";
import { afterEach, beforeAll, describe, expect, test } from "vitest";
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
    const proxy = createServer((socket) => {
      socket.once("data", (data) => {
        asked.push(String(data).split("\r\n")[0] ?? "");
        socket.end("HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n");
      });
    });
    await new Promise<void>((done) => proxy.listen(0, "127.0.0.1", done));
    open.addServer(proxy);
    const address = proxy.address();
    const https_proxy = `http://127.0.0.1:${typeof address === "object" ? address?.port : ""}`;
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
});
