import { describe, expect, test } from "vitest";
import { OsdeployError } from "../../../../src/core/errors.ts";
import { type FoundSignature, type JudgingMeans, judgeImage } from "../../../../src/core/trust/judge-image.ts";
import { parsePolicy } from "../../../../src/core/trust/policy.ts";
import {
  byAny,
  data,
  digest,
  judge,
  key,
  keyed,
  log,
  means,
  other,
  payload,
  reference,
  rejection,
  stranger,
} from "../../../builders/judging.ts";
import {
  attachment,
  cosignPayload,
  makeKey,
  type PromiseOptions,
  type SigningKey,
} from "../../../builders/signatures.ts";
import { envelopeBody } from "../../../builders/transparency-log.ts";

describe("judgeImage", () => {
  test("accepts anything, or nothing, as the policy says, and needs all requirements", () => {
    expect(judge({ type: "insecureAcceptAnything" }, [])).toEqual({ accepted: true, by: [] });
    expect(judge({ type: "reject" }, [])).toEqual({ accepted: false, reason: "the policy refuses it", rejected: [] });
    expect(judge([{ type: "insecureAcceptAnything" }, { type: "reject" }], []).accepted).toBe(false);
    const pki = { type: "sigstoreSigned", pki: {} };
    expect(judge(pki, [])).toMatchObject({
      accepted: false,
      reason: "the policy asks for sigstoreSigned with pki, which nobody can check",
    });
  });

  test.each(["p256", "p384", "rsa", "ed25519"] as const)(
    "takes a sigstore signature of a key of the kind %s",
    (kind) => {
      const made = makeKey(kind);
      const requirement = { type: "sigstoreSigned", keyDatas: [data(stranger.pem), data(made.pem)] };
      expect(judge(requirement, [attachment(made, payload)])).toEqual({
        accepted: true,
        by: ["sigstore key of the policy"],
      });
    },
  );

  test("lets a bug, and what is wrong with this machine, through as what it is", () => {
    const broken: JudgingMeans = {
      ...means,
      openMessage: () => {
        throw new TypeError("a bug");
      },
    };
    const { fallback } = parsePolicy(
      Buffer.from('{"default":[{"type":"signedBy","keyType":"GPGKeys","keyData":"AQ=="}]}'),
      "p",
    );
    const image = {
      name: undefined,
      manifestDigest: digest,
      signatures: [{ kind: "simple-signing", message: payload }],
    } as const;
    expect(() => judgeImage(fallback, image, broken)).toThrow(TypeError);
    const missing = {
      ...means,
      openMessage: () => {
        throw new OsdeployError("not-found", "Cannot check OpenPGP signatures: there is no program gpgv");
      },
    };
    expect(() => judgeImage(fallback, image, missing)).toThrow(/no program gpgv/);
  });

  test("names the file of the key, and needs one good signature among bad ones", () => {
    const signatures = [attachment(stranger, payload), attachment(key, payload)];
    expect(judge(keyed(), signatures)).toEqual({ accepted: true, by: ["sigstore key /key.pub"] });
  });

  test("says that there is no signature, or none of the kind", () => {
    const none = { accepted: false, reason: "it has no signature of the kind that the policy asks for", rejected: [] };
    expect(judge(keyed(), [])).toEqual(none);
    expect(judge(keyed(), [{ kind: "simple-signing", message: payload }])).toEqual(none);
    expect(judge({ type: "signedBy", keyType: "GPGKeys", keyData: "AQ==" }, [attachment(key, payload)])).toEqual(none);
  });

  test("fails when a key of the policy cannot be read: that is no verdict", () => {
    expect(() => judge({ type: "sigstoreSigned", keyPath: "/none" }, [attachment(key, payload)])).toThrow(
      /Cannot read/,
    );
    expect(() => judge({ type: "sigstoreSigned", keyData: data("x") }, [])).toThrow(/it is no PEM public key/);
  });

  test.each<readonly [string, FoundSignature, RegExp]>([
    ["another key", attachment(stranger, payload), /no key of the policy made it/],
    ["another image", attachment(key, cosignPayload(other, reference)), /it is for another image \(sha256:eee/],
    ["another tag", attachment(key, cosignPayload(digest, "quay.io/os:v2")), /it is for "quay.io\/os:v2"/],
    ["no tag", attachment(key, cosignPayload(digest, "quay.io/os")), /it is for "quay.io\/os"/],
    [
      "an unknown key in its payload",
      attachment(key, cosignPayload(digest, reference, { more: 1 })),
      /unknown key "more"/,
    ],
    [
      "another type",
      attachment(key, Buffer.from(payload.toString().replace("cosign container", "atomic container"))),
      /of another type/,
    ],
    ["no signature", { kind: "attachment", payload, annotations: new Map() }, /no signature that can be read/],
    [
      "a signature that is no base64",
      attachment(key, payload, { annotations: { "dev.cosignproject.cosign/signature": "*" } }),
      /no signature that can be read/,
    ],
  ])("refuses a sigstore signature with %s", (_name, signature, message) => {
    expect(rejection(keyed(), signature)).toMatch(message);
  });

  test("takes a payload with any optional part, and no tag where the policy asks for the repository", () => {
    const made = cosignPayload(digest, "quay.io/os", { optional: { creator: "x", anything: [1] } });
    expect(judge(keyed(byAny), [attachment(key, made)]).accepted).toBe(true);
    const without = Buffer.from(JSON.stringify({ ...JSON.parse(made.toString()), optional: undefined }));
    expect(judge(keyed(byAny), [attachment(key, without)]).accepted).toBe(true);
  });
});

describe("judgeImage with OpenPGP", () => {
  const requirement = { type: "signedBy", keyType: "GPGKeys", keyPaths: ["/key.pub", "/key.pub"] };
  const simple = (digestOf: string, more: object = { optional: {} }) =>
    Buffer.from(
      JSON.stringify({
        critical: {
          type: "atomic container signature",
          image: { "docker-manifest-digest": digestOf },
          identity: { "docker-reference": reference },
        },
        ...more,
      }),
    );
  const found = (message: Uint8Array): FoundSignature => ({ kind: "simple-signing", message });

  test("takes a message whose statement fits", () => {
    expect(judge(requirement, [found(simple(digest))])).toEqual({ accepted: true, by: ["OpenPGP key F2"] });
  });

  test.each<readonly [string, Uint8Array, RegExp]>([
    ["a bad signature", new Uint8Array(0), /Cannot accept the OpenPGP signature: bad/],
    ["another image", simple(other), /it is for another image/],
    ["no optional part", simple(digest, {}), /has no "optional"/],
    ["an optional part that is no object", simple(digest, { optional: 1 }), /is not an object/],
  ])("refuses %s", (_name, message, expected) => {
    expect(rejection(requirement, found(message))).toMatch(expected);
  });
});

describe("judgeImage with a log", () => {
  const logged = (options: Partial<PromiseOptions> = {}) => attachment(key, payload, { logged: { log, ...options } });
  const requirement = keyed({ rekorPublicKeyDatas: [data(stranger.pem), data(log.pem)] });
  const spec = (signer: SigningKey, signed: Uint8Array, digestOf?: string) => {
    const made = attachment(signer, signed);
    const signature = made.kind === "attachment" ? made.annotations.get("dev.cosignproject.cosign/signature") : "";
    const value = digestOf ?? "0".repeat(64);
    return {
      spec: {
        data: { hash: { algorithm: "sha256", value } },
        signature: { content: signature, publicKey: { content: data(signer.pem) } },
      },
    };
  };

  // A signature that is in no envelope is nothing that such an entry could be about.
  const envelope = JSON.parse(
    envelopeBody("dsse", { payload, payloadType: "x", signature: Buffer.from("s"), pem: key.pem }).toString(),
  );

  test("takes a signature with a promise of the log for it", () => {
    expect(judge(requirement, [logged()]).accepted).toBe(true);
  });

  test.each<readonly [string, () => FoundSignature, RegExp]>([
    ["no promise", () => attachment(key, payload), /without an entry of the log/],
    ["a promise of another log", () => logged({ log: makeKey() }), /no log that the policy knows/],
    [
      "an entry of another version",
      () => logged({ body: { apiVersion: "0.0.2" } }),
      /log entry is a hashedrekord 0.0.2/,
    ],
    ["an entry of another kind", () => logged({ body: { kind: "rekord" } }), /log entry is a rekord 0.0.1/],
    ["an entry about an envelope", () => logged({ body: envelope }), /about something else/],
    ["an entry about something else", () => logged({ body: spec(key, payload) }), /about something else/],
    [
      "a promise that is no object",
      () => attachment(key, payload, { annotations: { "dev.sigstore.cosign/bundle": "{}" } }),
      /has no "Payload"/,
    ],
    [
      "a promise with more in it",
      () => attachment(key, payload, { annotations: { "dev.sigstore.cosign/bundle": '{"Payload":{},"more":1}' } }),
      /unknown key "more"/,
    ],
  ])("refuses %s", (_name, make, message) => {
    expect(rejection(requirement, make())).toMatch(message);
  });

  test.each<readonly [string, (annotation: { Payload: { integratedTime?: unknown; body?: unknown } }) => void, RegExp]>(
    [
      ["a changed time", ({ Payload }) => (Payload.integratedTime = 1), /no log that the policy knows/],
      ["a time that is no number", ({ Payload }) => (Payload.integratedTime = 1.5), /integratedTime is not a number/],
      ["an entry that is no base64", ({ Payload }) => (Payload.body = "*"), /body is not base64/],
    ],
  )("refuses a promise with %s", (_name, change, message) => {
    const signature = logged();
    if (signature.kind !== "attachment") throw new Error("An attachment is one");
    const annotation = JSON.parse(signature.annotations.get("dev.sigstore.cosign/bundle") ?? "");
    change(annotation);
    const annotations = new Map(signature.annotations).set("dev.sigstore.cosign/bundle", JSON.stringify(annotation));
    expect(rejection(requirement, { ...signature, annotations })).toMatch(message);
  });

  test("refuses the entry of another signature or key over the same bytes", async () => {
    const { createHash } = await import("node:crypto");
    const value = createHash("sha256").update(payload).digest("hex");
    // Ed25519 signs the same bytes in the same way each time, so that only the key differs, or only the signature.
    expect(rejection(requirement, logged({ body: spec(stranger, payload, value) }))).toMatch(/has another signature/);
    const steady = makeKey("ed25519");
    const body = spec(steady, payload, value);
    body.spec.signature.publicKey.content = data(stranger.pem);
    const signature = attachment(steady, payload, { logged: { log, body } });
    const both = { type: "sigstoreSigned", keyData: data(steady.pem), rekorPublicKeyData: data(log.pem) };
    expect(rejection(both, signature)).toMatch(/has another key/);
  });
});
