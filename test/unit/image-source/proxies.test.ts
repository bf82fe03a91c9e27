import { describe, expect, test } from "vitest";
import { isLoopback, proxyFor, readProxies } from "../../../src/image-source/proxies.ts";

const registry = new URL("https://registry.example.com/v2/");

function proxied(variables: Readonly<Record<string, string>>, url = registry): string | undefined {
  return proxyFor(url, readProxies(variables))?.href;
}

describe("readProxies", () => {
  test.each([
    ["http://proxy:3128", "http://proxy:3128/"],
    ["proxy.example.com:3128", "http://proxy.example.com:3128/"],
    ["10.0.0.1:3128", "http://10.0.0.1:3128/"],
    ["user:secret@proxy:3128", "http://user:secret@proxy:3128/"],
    ["https://proxy", "https://proxy/"],
    [" http://proxy:3128\n", "http://proxy:3128/"],
  ])("%j is the proxy %s", (https_proxy, expected) => {
    expect(proxied({ https_proxy })).toBe(expected);
  });

  test.each(["ftp://user:secret@proxy", "http://", "http://user:secret@proxy:port", "a b:secret"])(
    "%j is refused, and not repeated",
    (HTTPS_PROXY) => {
      const read = () => readProxies({ HTTPS_PROXY });
      expect(read).toThrow(/^Cannot use the proxy of the variable HTTPS_PROXY: it is no address of a proxy$/);
      expect(read).toThrow(
        expect.objectContaining({
          code: "usage",
          facts: { hint: "Write it as http://HOST:PORT, or unset HTTPS_PROXY" },
        }),
      );
    },
  );

  test("lower case comes first, and an empty variable is none", () => {
    expect(proxied({ https_proxy: "http://a", HTTPS_PROXY: "http://b" })).toBe("http://a/");
    expect(proxied({ https_proxy: "", HTTPS_PROXY: "http://b" })).toBe("http://b/");
    expect(proxied({ https_proxy: "", HTTPS_PROXY: "" })).toBeUndefined();
  });
});

describe("proxyFor", () => {
  test("each scheme has its own proxy", () => {
    const variables = { http_proxy: "http://plain", https_proxy: "http://sealed" };
    expect(proxied(variables)).toBe("http://sealed/");
    expect(proxied(variables, new URL("http://registry.example.com"))).toBe("http://plain/");
    expect(proxied({ http_proxy: "http://plain" })).toBeUndefined();
  });

  test.each([
    ["registry.example.com", "https://registry.example.com", true],
    ["EXAMPLE.com", "https://registry.example.com", true],
    [".example.com", "https://registry.example.com", true],
    ["*.example.com", "https://registry.example.com", true],
    ["ample.com", "https://registry.example.com", false],
    ["a,b example.com", "https://registry.example.com", true],
    ["a, *", "https://registry.example.com", true],
    ["example.com:443", "https://registry.example.com", true],
    ["example.com:5000", "https://registry.example.com", false],
    ["example.com:5000", "https://registry.example.com:5000", true],
    ["10.0.0.0/8", "https://10.1.2.3:5000", true],
    ["10.0.0.0/8", "https://11.1.2.3:5000", false],
    ["10.0.0.0/8", "https://registry.example.com", false],
    ["10.0.0.0/33", "https://10.1.2.3:5000", false],
    ["192.168.0.0/255.255.0.0", "https://192.168.0.1", false],
    ["2.3", "https://10.1.2.3", false],
    ["10.1.2.3", "https://10.1.2.3:5000", true],
    ["fd00::/8", "https://[fd00::1]:5000", true],
    ["fd00::1", "https://[fd00::1]:5000", true],
    ["[fd00::1]:5001", "https://[fd00::1]:5000", false],
    ["", "https://registry.example.com", false],
  ])("no_proxy %j: %s is reached directly: %j", (no_proxy, url, expected) => {
    expect(proxied({ https_proxy: "http://proxy", no_proxy }, new URL(url)) === undefined).toBe(expected);
  });
});

test.each([
  ["localhost", true],
  ["127.0.0.1", true],
  ["127.255.0.9", true],
  ["[::1]", true],
  ["127.0.0.1.example.org", false],
  ["1127.0.0.1", false],
  ["localhost.example.org", false],
  ["0.0.0.0", false],
])("isLoopback: %s is %j", (hostname, expected) => {
  expect(isLoopback(hostname)).toBe(expected);
});
