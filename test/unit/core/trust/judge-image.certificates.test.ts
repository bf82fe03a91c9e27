import { describe, expect, test } from "vitest";
import type { FoundSignature } from "../../../../src/core/trust/judge-image.ts";
import {
  byAny,
  data,
  digest,
  judge,
  key,
  keyed,
  log,
  other,
  payload,
  reference,
  rejection,
  stranger,
} from "../../../builders/judging.ts";
import {
  attachment,
  bundle,
  certifiedKey,
  cosignPayload,
  derOf,
  type SigningKey,
  signStatement,
  trustVector,
} from "../../../builders/signatures.ts";

describe("judgeImage with certificates", () => {
  const inside = 1_781_525_000;
  const certified = certifiedKey();
  const requirement = (authority = "root.pem", more: object = {}) => ({
    type: "sigstoreSigned",
    fulcio: {
      caData: data(trustVector(authority)),
      oidcIssuer: "https://login.example",
      subjectEmail: "builder@example.com",
      ...more,
    },
    rekorPublicKeyData: data(log.pem),
  });
  const signed = (
    leaf: string,
    more: { chain?: string; time?: number; signer?: SigningKey; payload?: Uint8Array } = {},
  ) => {
    const signer = { ...(more.signer ?? certified), pem: trustVector(leaf) };
    return attachment(signer, more.payload ?? payload, {
      annotations: {
        "dev.sigstore.cosign/certificate": trustVector(leaf),
        "dev.sigstore.cosign/chain": more.chain ?? trustVector("between.pem") + trustVector("root.pem"),
      },
      logged: { log, integratedTime: more.time ?? inside },
    });
  };

  test.each(["leaf.pem", "leaf-raw.pem", "leaf-text.pem", "leaf-critical.pem"])("takes %s at its time", (leaf) => {
    expect(judge(requirement(), [signed(leaf)])).toEqual({
      accepted: true,
      by: ["sigstore certificate of builder@example.com from https://login.example"],
    });
  });

  test("looks at no simple signature", () => {
    expect(judge(requirement(), [{ kind: "simple-signing", message: payload }])).toMatchObject({ rejected: [] });
  });

  const chainOf = (...names: readonly string[]) =>
    [...names, "root"].map((name) => trustVector(`${name}.pem`)).join("");

  test.each([
    ["leaf-of-code.pem", chainOf("code")],
    ["leaf-of-any.pem", chainOf("any")],
    ["leaf-of-last.pem", chainOf("last")],
  ])("takes %s, of an authority that may do this", (leaf, chain) => {
    expect(judge(requirement(), [signed(leaf, { chain })]).accepted).toBe(true);
  });

  test.each([
    ["for servers only", "leaf-of-tls.pem", chainOf("tls")],
    ["for other names", "leaf-of-named.pem", chainOf("named")],
    ["with something critical that nobody knows", "leaf-of-odd.pem", chainOf("odd")],
    ["below one that may have nobody below", "leaf-of-below.pem", chainOf("below", "last")],
  ])("refuses an authority %s", (_name, leaf, chain) => {
    expect(rejection(requirement(), signed(leaf, { chain }))).toMatch(/no authority of the policy/);
  });

  test("is not kept busy by many certificates that could be above each other", () => {
    const chain = `${trustVector("between.pem").repeat(60)}${trustVector("stranger.pem")}`;
    expect(rejection(requirement("stranger.pem"), signed("leaf.pem", { chain }))).toMatch(/no authority/);
  });

  test.each(["x25519", "x448", "ed448"])("passes over one with a key of the kind %s, and judges the next", (kind) => {
    expect(rejection(requirement(), signed(`leaf-${kind}.pem`))).toMatch(/key of its certificate did not make it/);
    expect(judge(requirement(), [signed(`leaf-${kind}.pem`), signed("leaf.pem")]).accepted).toBe(true);
  });

  test.each<readonly [string, object, FoundSignature, RegExp]>([
    ["too late", requirement(), signed("leaf.pem", { time: 1_781_526_000 }), /not valid when it was used/],
    ["too early", requirement(), signed("leaf.pem", { time: 1_781_524_000 }), /not valid when it was used/],
    ["another authority", requirement("stranger.pem"), signed("leaf.pem"), /no authority of the policy/],
    ["no chain", requirement(), signed("leaf.pem", { chain: "" }), /no authority of the policy/],
    [
      "a chain that is only the root",
      requirement(),
      signed("leaf.pem", { chain: trustVector("root.pem") }),
      /no authority/,
    ],
    [
      "another login service",
      requirement("root.pem", { oidcIssuer: "https://x" }),
      signed("leaf.pem"),
      /given for "https:\/\/login/,
    ],
    ["two login services", requirement(), signed("leaf-two-issuers.pem"), /given for "no issuer"/],
    ["a login service that is no text", requirement(), signed("leaf-odd-issuer.pem"), /given for "no issuer"/],
    [
      "a login service with a mark before it",
      requirement(),
      signed("leaf-marked-issuer.pem"),
      /given for "\ufeffhttps/,
    ],
    ["no login service", requirement(), signed("leaf-no-issuer.pem"), /given for "no issuer"/],
    [
      "another owner",
      requirement("root.pem", { subjectEmail: "x@example.com" }),
      signed("leaf.pem"),
      /belongs to builder@/,
    ],
    ["no owner", requirement(), signed("leaf-no-email.pem"), /belongs to nobody by mail/],
    [
      "another image",
      requirement(),
      signed("leaf.pem", { payload: cosignPayload(other, reference) }),
      /it is for another image \(sha256:e/,
    ],
    [
      "another name",
      requirement(),
      signed("leaf.pem", { payload: cosignPayload(digest, "quay.io/other:v1") }),
      /it is for "quay.io\/other:v1", which the policy does not take/,
    ],
    ["no certificate", requirement(), attachment(certified, payload), /it has no certificate/],
    ["another use", requirement(), signed("leaf-other-use.pem"), /not for signing code/],
    ["no use", requirement(), signed("leaf-no-use.pem"), /not for signing code/],
    ["another key", requirement(), signed("leaf.pem", { signer: stranger }), /key of its certificate did not make it/],
    [
      "a certificate that is none",
      requirement(),
      attachment(key, payload, { annotations: { "dev.sigstore.cosign/certificate": "x" } }),
      /cannot be read/,
    ],
    [
      "a certificate alone",
      requirement(),
      attachment({ ...certified, pem: trustVector("leaf.pem") }, payload, {
        annotations: { "dev.sigstore.cosign/certificate": trustVector("leaf.pem") },
        logged: { log, integratedTime: inside },
      }),
      /no authority of the policy/,
    ],
    [
      "too many certificates",
      requirement(),
      attachment(key, payload, {
        annotations: { "dev.sigstore.cosign/certificate": trustVector("leaf.pem").repeat(65) },
      }),
      /more than 64 certificates/,
    ],
  ])("refuses %s", (_name, policy, signature, message) => {
    expect(rejection(policy, signature)).toMatch(message);
  });
});

describe("judgeImage with bundles", () => {
  const statement = signStatement(digest);
  const certified = (more: object = byAny) => ({
    type: "sigstoreSigned",
    fulcio: {
      caData: data(trustVector("between.pem")),
      oidcIssuer: "https://login.example",
      subjectEmail: "builder@example.com",
    },
    rekorPublicKeyData: data(log.pem),
    ...more,
  });
  const withCertificate = (signedStatement: Uint8Array, material?: object) =>
    bundle({ ...certifiedKey(), pem: trustVector("leaf.pem") }, signedStatement, {
      material: material ?? { publicKey: undefined, certificate: { rawBytes: derOf(trustVector("leaf.pem")) } },
      logged: { log },
    });
  const accepts = (signature: FoundSignature, more: object = {}) => judge(keyed({ ...byAny, ...more }), [signature]);

  test("takes a bundle of a key, of this version and an older one", () => {
    expect(accepts(bundle(key, statement))).toEqual({
      accepted: true,
      by: ["sigstore key /key.pub (it names no repository)"],
    });
    const type = { mediaType: "application/vnd.dev.sigstore.bundle+json;version=0.1" };
    expect(accepts(bundle(key, statement, { top: type })).accepted).toBe(true);
  });

  test.each<readonly [string, (der: string, between: string) => object]>([
    ["one certificate", (rawBytes) => ({ publicKey: undefined, certificate: { rawBytes } })],
    [
      "a chain",
      (rawBytes, between) => ({ x509CertificateChain: { certificates: [{ rawBytes }, { rawBytes: between }] } }),
    ],
  ])("takes a bundle with %s", (_name, material) => {
    const made = material(derOf(trustVector("leaf.pem")), derOf(trustVector("between.pem")));
    expect(judge(certified(), [withCertificate(statement, made)]).accepted).toBe(true);
  });

  test("refuses a bundle with a certificate for another image, and where the policy asks for a tag", () => {
    expect(rejection(certified(), withCertificate(signStatement(other)))).toMatch(/it is for another image/);
    expect(rejection(certified({}), withCertificate(statement))).toMatch(/names no tag.*matchRepository/);
  });

  test("refuses it where the policy asks for a tag, and says what to write", () => {
    expect(rejection(keyed(), bundle(key, statement))).toMatch(/names no tag.*matchRepository/);
  });

  test.each<readonly [string, FoundSignature, RegExp]>([
    ["another key", bundle(stranger, statement), /no key of the policy made it/],
    ["another image", bundle(key, signStatement(other)), /it is for another image/],
    [
      "another algorithm only",
      bundle(key, signStatement(digest, { subject: [{ digest: { sha1: "aa" } }] })),
      /for another image/,
    ],
    [
      "an SBOM",
      bundle(key, signStatement(digest, { predicateType: "https://spdx.dev/Document" })),
      /a https:\/\/spdx.dev\/Document, not/,
    ],
    ["another statement", bundle(key, signStatement(digest, { _type: "x" })), /Cannot use the signed statement/],
    [
      "a newer version",
      bundle(key, statement, { top: { mediaType: "application/vnd.dev.sigstore.bundle.v0.4+json" } }),
      /its type is/,
    ],
    ["no statement", bundle(key, statement, { top: { dsseEnvelope: undefined } }), /it holds no statement/],
    ["no signature", bundle(key, statement, { envelope: { signatures: [] } }), /exactly one signature/],
    ["two signatures", bundle(key, statement, { envelope: { signatures: [{}, {}] } }), /exactly one signature/],
    [
      "another kind of payload",
      bundle(key, statement, { envelope: { payloadType: "text/plain" } }),
      /payloadType is not an in-toto statement/,
    ],
    ["a changed statement", bundle(key, statement, { envelope: { payload: data("{}") } }), /no key of the policy/],
  ])("refuses a bundle with %s", (_name, signature, message) => {
    expect(rejection(keyed(byAny), signature)).toMatch(message);
  });

  test("refuses a bundle without certificate where the policy asks for one", () => {
    const fulcio = { caData: data(trustVector("root.pem")), oidcIssuer: "i", subjectEmail: "e" };
    const policy = { type: "sigstoreSigned", fulcio, rekorPublicKeyData: data(log.pem), ...byAny };
    expect(rejection(policy, bundle(key, statement))).toMatch(/it has no certificate/);
  });
});
