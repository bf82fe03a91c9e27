import { describe, expect, test } from "vitest";
import type { FoundSignature } from "../../../../src/core/trust/judge-image.ts";
import { byAny, data, digest, judge, key, keyed, log, other, rejection, stranger } from "../../../builders/judging.ts";
import {
  type BundleLogOptions,
  bundle,
  certifiedKey,
  derOf,
  makeKey,
  signStatement,
  trustVector,
} from "../../../builders/signatures.ts";
import { checkpoint } from "../../../builders/transparency-log.ts";

const statement = signStatement(digest);
const logged = (more: Partial<BundleLogOptions> = {}, rest: Parameters<typeof bundle>[2] = {}) =>
  bundle(key, statement, { logged: { log, ...more }, ...rest });
const inLog = keyed({ ...byAny, rekorPublicKeyData: data(log.pem) });
const older = (version: string) => ({
  top: { mediaType: `application/vnd.dev.sigstore.bundle+json;version=${version}` },
});

describe("judgeImage: bundles in a log", () => {
  test.each(["dsse", "intoto", "hashedrekord"] as const)(
    "takes an entry of the kind %s, with promise and proof, or one of both",
    (kind) => {
      for (const without of [undefined, "promise"] as const) {
        expect(judge(inLog, [logged({ kind, ...(without && { without }) })]).accepted).toBe(true);
      }
      expect(judge(inLog, [logged({ kind, without: "proof" }, older("0.1"))]).accepted).toBe(true);
    },
  );

  test.each([1, 2, 3, 4, 5, 7, 8, 9, 17])("takes a proof in a tree of %i", (size) => {
    expect(judge(inLog, [logged({ size, without: "promise" })]).accepted).toBe(true);
  });

  test("takes numbers as numbers, and what is 0 left out", () => {
    const proof = { logIndex: undefined, treeSize: 1, hashes: undefined };
    expect(judge(inLog, [logged({ size: 1, proof, without: "promise" })]).accepted).toBe(true);
  });

  test.each(["spki", "name"] as const)("takes a log with an Ed25519 key, with the hint of its %s", (hint) => {
    const quick = makeKey("ed25519");
    const policy = keyed({ ...byAny, rekorPublicKeyDatas: [data(log.pem), data(quick.pem)] });
    expect(judge(policy, [logged({ log: quick, checkpoint: { hint } })]).accepted).toBe(true);
  });

  test("asks nothing of a log where the policy has no key of one, whatever the bundle brings", () => {
    for (const signature of [logged(), logged({ log: stranger }), logged({ proof: { rootHash: "*" } })]) {
      expect(judge(keyed(byAny), [signature]).accepted).toBe(true);
    }
  });

  test("passes over entries of other logs beside one that counts", () => {
    // ECDSA signs differently each time: both entries have to be about one signature
    const steady = makeKey("ed25519");
    const [first, second] = [stranger, log].map((each) =>
      JSON.parse(new TextDecoder().decode(bytesOf(bundle(steady, statement, { logged: { log: each } })))),
    );
    const entries = [first, second].map((each) => each.verificationMaterial.tlogEntries[0]);
    const signature = bundle(steady, statement, { material: { tlogEntries: entries } });
    const policy = { type: "sigstoreSigned", keyData: data(steady.pem), rekorPublicKeyData: data(log.pem), ...byAny };
    expect(judge(policy, [signature]).accepted).toBe(true);
  });

  const otherHash = { algorithm: "sha256", value: "0".repeat(64) };
  const signatureOf = (pem: string) => [{ signature: data("x"), verifier: data(pem) }];

  test.each<readonly [string, FoundSignature, RegExp]>([
    ["no entry", bundle(key, statement), /without an entry of the log/],
    ["a promise of another log", logged({ log: stranger }), /no log that the policy knows has promised/],
    ["a proof of another log", logged({ log: stranger, without: "promise" }), /has signed its checkpoint/],
    ["no proof, though of version 0.3", logged({ without: "proof" }), /has no "inclusionProof"/],
    ["no promise, though of version 0.1", logged({ without: "promise" }, older("0.1")), /has no "inclusionPromise"/],
    ["an entry about another statement", logged({ spec: { payloadHash: otherHash } }), /about something else/],
    ["an entry with another signature", logged({ spec: { signatures: signatureOf(key.pem) } }), /another signature/],
    ["an entry with two signatures", logged({ spec: { signatures: [{}, {}] } }), /exactly one signature/],
    ["an entry with none", logged({ spec: { signatures: [] } }), /exactly one signature/],
    [
      "a signature that is in base64 once only",
      logged({
        kind: "intoto",
        spec: { content: { envelope: { signatures: [{ sig: data("*"), publicKey: "" }] }, payloadHash: otherHash } },
      }),
      /base64 of base64/,
    ],
    ["an index beyond the tree", logged({ proof: { logIndex: "6" } }), /does not prove/],
    ["another index", logged({ proof: { logIndex: "0" } }), /does not prove/],
    ["a hash less", logged({ proof: { hashes: [] } }), /does not prove/],
    ["hashes above the root", logged({ size: 1, proof: { hashes: [data("x".repeat(32))] } }), /does not prove/],
    ["a hash that is none", logged({ proof: { hashes: ["*"] } }), /is not base64/],
    ["another root", logged({ proof: { rootHash: data("x") } }), /about another tree/],
    ["another size", logged({ proof: { treeSize: "7" } }), /about another tree/],
    ["a size that is no number", logged({ proof: { treeSize: "-1" } }), /treeSize is not a number/],
    ["a checkpoint by another key's hint", logged({ checkpoint: { hint: Buffer.alloc(4) } }), /signed its checkpoint/],
    ["a checkpoint of size 0", logged({ checkpoint: { size: "0" } }), /no signed note about a tree/],
    ["a checkpoint with a short root", logged({ checkpoint: { root: "AAAA" } }), /no signed note about a tree/],
    ["a checkpoint with no signature", logged({ checkpoint: { signatures: "" } }), /no signed note about a tree/],
    ["a checkpoint with another line", logged({ checkpoint: { signatures: "x\n" } }), /no signed note about a tree/],
    [
      "a checkpoint with a short signature",
      logged({ checkpoint: { signatures: "\u2014 a AAAA\n" } }),
      /no signed note about a tree/,
    ],
    ["a checkpoint that does not end", logged({ proof: { checkpoint: { envelope: "a\n1\nx" } } }), /no signed note/],
    [
      "a checkpoint of this log about another tree",
      logged({
        proof: { checkpoint: { envelope: checkpoint(log, { root: Buffer.alloc(32), size: 6 }) } },
      }),
      /about another tree/,
    ],
  ])("refuses %s", (_name, signature, message) => {
    expect(rejection(inLog, signature)).toMatch(message);
  });

  test("refuses the entry of another key over the same signature", () => {
    const steady = makeKey("ed25519");
    const made = bundle(steady, statement);
    const sig = JSON.parse(new TextDecoder().decode(bytesOf(made))).dsseEnvelope.signatures[0].sig;
    const spec = { signatures: [{ signature: sig, verifier: data(stranger.pem) }] };
    const policy = { type: "sigstoreSigned", keyData: data(steady.pem), rekorPublicKeyData: data(log.pem), ...byAny };
    expect(rejection(policy, bundle(steady, statement, { logged: { log, spec } }))).toMatch(/has another key/);
  });

  test("refuses a bundle in the log that is for another image", () => {
    expect(rejection(inLog, bundle(key, signStatement(other), { logged: { log } }))).toMatch(/for another image/);
  });
});

describe("judgeImage: bundles with certificates", () => {
  const signer = { ...certifiedKey(), pem: trustVector("leaf.pem") };
  const certificate = { rawBytes: derOf(trustVector("leaf.pem")) };
  const fulcio = {
    caData: data(trustVector("between.pem")),
    oidcIssuer: "https://login.example",
    subjectEmail: "builder@example.com",
  };
  const policy = { type: "sigstoreSigned", fulcio, rekorPublicKeyData: data(log.pem), ...byAny };
  const made = (more: Partial<BundleLogOptions> = {}, by = signer) =>
    bundle(by, statement, { material: { publicKey: undefined, certificate }, logged: { log, ...more } });

  test.each(["dsse", "intoto"] as const)("takes one in an entry of the kind %s", (kind) => {
    expect(judge(policy, [made({ kind })])).toEqual({
      accepted: true,
      by: ["sigstore certificate of builder@example.com from https://login.example (it names no repository)"],
    });
  });

  test.each<readonly [string, FoundSignature, RegExp]>([
    ["that the log does not date", made({ without: "promise" }), /does not promise when it came/],
    ["when it was not valid", made({ integratedTime: 1_781_526_000 }), /not valid when it was used/],
    [
      "with another certificate of the same key in the log",
      made({}, { ...signer, pem: trustVector("leaf-raw.pem") }),
      /another certificate/,
    ],
    ["with a bare key in the log", made({}, { ...signer, pem: key.pem }), /cannot be read/],
  ])("refuses one %s", (_name, signature, message) => {
    expect(rejection(policy, signature)).toMatch(message);
  });
});

function bytesOf(signature: FoundSignature): Uint8Array {
  if (signature.kind !== "bundle") throw new Error("A bundle is one");
  return signature.bytes;
}
