import { describe, expect, test } from "vitest";
import { parsePolicy } from "../../../../src/core/trust/policy.ts";

const parse = (value: unknown) => parsePolicy(new TextEncoder().encode(JSON.stringify(value)), "p.json");
const one = (requirement: unknown) => parse({ default: [requirement] }).fallback[0];
const key = { kind: "file", path: "/key.pub" };
const usual = { kind: "repository-digest-or-exact" };

describe("parsePolicy", () => {
  test("reads the default, and scopes of transports that it need not know", () => {
    const policy = parse({
      default: [{ type: "reject" }],
      transports: {
        docker: { "quay.io/os": [{ type: "insecureAcceptAnything" }] },
        "future-kind": { "": [{ type: "reject" }] },
      },
    });
    expect(policy.fallback).toEqual([{ kind: "reject" }]);
    expect(policy.transports.get("docker")?.get("quay.io/os")).toEqual([{ kind: "accept-anything" }]);
    expect([...(policy.transports.get("future-kind")?.keys() ?? [])]).toEqual([""]);
    expect(parse({ default: [{ type: "reject" }] }).transports.size).toBe(0);
  });

  test("takes 10,000 requirements or keys in one place, and not one more", () => {
    const listOf = <T>(count: number, each: T) => Array.from({ length: count }, () => each);
    const keyed = (count: number) => one({ type: "sigstoreSigned", keyPaths: listOf(count, "/key.pub") });
    const tooMany = expect.objectContaining({ code: "limit-exceeded" });
    expect(parse({ default: listOf(10_000, { type: "reject" }) }).fallback).toHaveLength(10_000);
    expect(() => parse({ default: listOf(10_001, { type: "reject" }) })).toThrow(tooMany);
    expect(keyed(10_000)).toMatchObject({ kind: "sigstore-key" });
    expect(() => keyed(10_001)).toThrow(tooMany);
  });

  test.each([
    ["oci", "/srv/images"],
    ["oci", "/srv/images:v1"],
    ["oci", ""],
    ["oci-archive", "/srv/.os.tar:a/b:c"],
    ["dir", "/srv/a:b"],
    ["docker-archive", ""],
    ["rootfs", ""],
    ["docker", "not/checked/"],
    ["future-kind", "relative"],
  ])("reads scope %s %j", (transport, scope) => {
    const { transports } = parse({
      default: [{ type: "reject" }],
      transports: { [transport]: { [scope]: [{ type: "reject" }] } },
    });
    expect([...(transports.get(transport)?.keys() ?? [])]).toEqual([scope]);
  });

  // skopeo refuses these files as well: such a scope would match no image.
  test.each([
    ["oci", "images"],
    ["oci", "/"],
    ["oci", ":v1"],
    ["oci", "/srv/"],
    ["oci-archive", "/srv//os.tar"],
    ["dir", "/srv/../os"],
    ["sif", "/srv/./os"],
    ["dir", "/srv/.."],
  ])("refuses scope %s %j, by which no image is looked up", (transport, scope) => {
    expect(() =>
      parse({ default: [{ type: "reject" }], transports: { [transport]: { [scope]: [{ type: "reject" }] } } }),
    ).toThrow(
      expect.objectContaining({ code: "bad-format", message: expect.stringContaining("not an absolute path") }),
    );
  });

  test.each([
    ["docker-archive", "/srv/os.tar"],
    ["tarball", "/srv"],
    ["rootfs", "/srv/tree"],
  ])("refuses scope %s %j: the transport has none", (transport, scope) => {
    expect(() =>
      parse({ default: [{ type: "reject" }], transports: { [transport]: { [scope]: [{ type: "reject" }] } } }),
    ).toThrow(
      expect.objectContaining({ code: "bad-format", message: expect.stringContaining(`${transport} has none`) }),
    );
  });

  test.each<readonly [string, unknown]>([
    ["transports", { default: [{ type: "reject" }], transports: null }],
    ["a key", { default: [{ type: "signedBy", keyType: "GPGKeys", keyPath: "/k", keyData: null }] }],
    ["a log's key", { default: [{ type: "sigstoreSigned", keyPath: "/k", rekorPublicKeyDatas: null }] }],
    ["an identity", { default: [{ type: "sigstoreSigned", keyPath: "/k", signedIdentity: null }] }],
    ["an authority", { default: [{ type: "sigstoreSigned", keyPath: "/k", fulcio: null }] }],
  ])("refuses null in place of %s", (_name, policy) => {
    expect(() => parse(policy)).toThrow(/is null; leave it out/);
  });

  test("signedBy: takes keys from a file, several files, or the policy itself", () => {
    const signedBy = (more: object) => one({ type: "signedBy", keyType: "GPGKeys", ...more });
    expect(signedBy({ keyPath: "/key.pub" })).toEqual({ kind: "signed-by", keyrings: [key], identity: usual });
    expect(signedBy({ keyPaths: ["/a", "/b"] })).toMatchObject({ keyrings: [{ path: "/a" }, { path: "/b" }] });
    expect(signedBy({ keyData: "AQI=" })).toMatchObject({ keyrings: [{ kind: "bytes", bytes: Uint8Array.of(1, 2) }] });
    expect(one({ type: "signedBy", keyType: "signedByGPGKeys", keyPath: "/k" })).toEqual({
      kind: "never",
      name: "signedByGPGKeys",
    });
  });

  test("sigstoreSigned: takes keys, or a certificate authority with its log", () => {
    expect(one({ type: "sigstoreSigned", keyPath: "/key.pub", signedIdentity: { type: "matchRepository" } })).toEqual({
      kind: "sigstore-key",
      keys: [key],
      logKeys: [],
      identity: { kind: "repository" },
    });
    expect(one({ type: "sigstoreSigned", keyDatas: ["AQ==", "Ag=="], rekorPublicKeyPaths: ["/r"] })).toMatchObject({
      keys: [{ bytes: Uint8Array.of(1) }, { bytes: Uint8Array.of(2) }],
      logKeys: [{ path: "/r" }],
    });
    const fulcio = { caPath: "/ca.pem", oidcIssuer: "https://login.example", subjectEmail: "a@example.com" };
    expect(one({ type: "sigstoreSigned", fulcio, rekorPublicKeyData: "AQ==" })).toEqual({
      kind: "sigstore-certificate",
      authority: { kind: "file", path: "/ca.pem" },
      issuer: "https://login.example",
      email: "a@example.com",
      logKeys: [{ kind: "bytes", bytes: Uint8Array.of(1) }],
      identity: usual,
    });
  });

  test("knows what nobody has built, and lets it refuse", () => {
    const pki = { caRootsPath: "/ca.pem", subjectEmail: "a@example.com" };
    expect(one({ type: "sigstoreSigned", pki })).toEqual({ kind: "never", name: "sigstoreSigned with pki" });
    expect(one({ type: "signedBaseLayer", baseLayerIdentity: { type: "matchExact" } })).toMatchObject({
      kind: "never",
    });
  });

  const fulcio = { caPath: "/c", oidcIssuer: "i", subjectEmail: "e" };
  test.each<readonly [string, unknown, RegExp]>([
    ["no default", {}, /has no "default"/],
    ["an empty default", { default: [] }, /default is empty/],
    ["an unknown key at the top", { default: [{ type: "reject" }], defaults: [] }, /unknown key "defaults"/],
    ["an unknown type", { default: [{ type: "accept" }] }, /"accept" is not known/],
    ["the name of a method as a type", { default: [{ type: "toString" }] }, /"toString" is not known/],
    [
      "an unknown key of a requirement",
      { default: [{ type: "reject", why: "" }] },
      /default\[0\] has the unknown key "why"/,
    ],
    ["an unknown keyType", { default: [{ type: "signedBy", keyType: "PGP", keyPath: "/k" }] }, /unknown keyType/],
    ["no key", { default: [{ type: "signedBy", keyType: "GPGKeys" }] }, /needs one of keyPath/],
    [
      "two keys",
      { default: [{ type: "signedBy", keyType: "GPGKeys", keyPath: "/k", keyData: "AQ==" }] },
      /more than one of/,
    ],
    ["an empty list of keys", { default: [{ type: "sigstoreSigned", keyPaths: [] }] }, /keyPaths is empty/],
    ["an empty path", { default: [{ type: "sigstoreSigned", keyPath: "" }] }, /keyPath is empty/],
    ["what is no base64", { default: [{ type: "sigstoreSigned", keyData: "*" }] }, /keyData is not base64/],
    ["neither key nor authority", { default: [{ type: "sigstoreSigned" }] }, /exactly one of keyPath/],
    ["key and authority", { default: [{ type: "sigstoreSigned", keyPath: "/k", fulcio }] }, /exactly one of/],
    ["an authority without log", { default: [{ type: "sigstoreSigned", fulcio }] }, /needs a rekorPublicKey/],
    [
      "an authority without certificate",
      {
        default: [{ type: "sigstoreSigned", fulcio: { oidcIssuer: "i", subjectEmail: "e" }, rekorPublicKeyPath: "/r" }],
      },
      /needs one of caPath/,
    ],
    ["pki with a log", { default: [{ type: "sigstoreSigned", pki: {}, rekorPublicKeyPath: "/r" }] }, /beside pki/],
  ])("refuses %s", (_name, policy, message) => {
    expect(() => parse(policy)).toThrow(message);
  });

  test("refuses a key that stands twice", () => {
    const text = '{"default":[{"type":"reject"}],"default":[{"type":"insecureAcceptAnything"}]}';
    expect(() => parsePolicy(new TextEncoder().encode(text), "p.json")).toThrow(
      /signature policy p.json: it has the key "default" twice/,
    );
  });
});
