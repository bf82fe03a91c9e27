import { createHash, createPrivateKey, generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { FoundSignature } from "../../src/core/trust/judge-image.ts";
import { type EnvelopeKind, envelopeBody, type LogOptions, logEntryOf, versionOf } from "./transparency-log.ts";

/** A key as a signer has it, and as a policy names it. */
export interface SigningKey {
  readonly secret: KeyObject;
  readonly pem: string;
}

/** A new key of a kind that sigstore knows. */
export function makeKey(kind: "p256" | "p384" | "rsa" | "ed25519" = "p256"): SigningKey {
  const { publicKey, privateKey } = keyPair(kind);
  return { secret: privateKey, pem: publicKey.export({ type: "spki", format: "pem" }).toString() };
}

function keyPair(kind: "p256" | "p384" | "rsa" | "ed25519"): { publicKey: KeyObject; privateKey: KeyObject } {
  switch (kind) {
    case "ed25519":
      return generateKeyPairSync("ed25519");
    case "rsa":
      return generateKeyPairSync("rsa", { modulusLength: 2048 });
    default:
      return generateKeyPairSync("ec", { namedCurve: kind === "p256" ? "prime256v1" : "secp384r1" });
  }
}

/** A file of `test/vectors/trust`. */
export function trustVector(name: string): string {
  return readFileSync(join(import.meta.dirname, "../vectors/trust", name), "utf8");
}

/** The key of the certificates in `test/vectors/trust` whose names begin with `leaf`. */
export function certifiedKey(): SigningKey {
  const key = createPrivateKey(trustVector("leaf.key"));
  return { secret: key, pem: trustVector("leaf.pem") };
}

const base64 = (bytes: Uint8Array | string) => Buffer.from(bytes).toString("base64");
const signWith = ({ secret }: SigningKey, bytes: Uint8Array) =>
  sign(secret.asymmetricKeyType === "ed25519" ? null : "sha256", bytes, secret);

/** What cosign 2 and skopeo sign. */
export function cosignPayload(digest: string, reference: string, more: object = {}): Buffer {
  const critical = {
    identity: { "docker-reference": reference },
    image: { "docker-manifest-digest": digest },
    type: "cosign container image signature",
  };
  return Buffer.from(JSON.stringify({ critical, optional: null, ...more }));
}

/** What the log promises about one signature, with anything of it replaced. */
export interface PromiseOptions {
  readonly log: SigningKey;
  readonly integratedTime?: number;
  readonly body?: Readonly<Record<string, unknown>>;
}

/** The entry of a log for one signature, as Rekor writes it. */
function logEntry(payload: Uint8Array, signature: Uint8Array, pem: string): Record<string, unknown> {
  const value = createHash("sha256").update(payload).digest("hex");
  return {
    apiVersion: "0.0.1",
    kind: "hashedrekord",
    spec: {
      data: { hash: { algorithm: "sha256", value } },
      signature: { content: base64(signature), publicKey: { content: base64(pem) } },
    },
  };
}

/** The log's payload and its signature over that. */
function promise(entry: Record<string, unknown>, { log, integratedTime = 1_781_525_000 }: PromiseOptions) {
  const payload = { body: base64(JSON.stringify(entry)), integratedTime, logID: "ab".repeat(32), logIndex: 7 };
  const signature = signWith(log, Buffer.from(JSON.stringify(payload)));
  return { payload, signature: base64(signature) };
}

/** A signature as cosign 2 attaches it. */
export function attachment(
  key: SigningKey,
  payload: Uint8Array,
  more: { readonly annotations?: Readonly<Record<string, string>>; readonly logged?: PromiseOptions } = {},
): FoundSignature {
  const signature = signWith(key, payload);
  const annotations = new Map([["dev.cosignproject.cosign/signature", base64(signature)]]);
  if (more.logged !== undefined) {
    const entry = { ...logEntry(payload, signature, key.pem), ...more.logged.body };
    const made = promise(entry, more.logged);
    annotations.set(
      "dev.sigstore.cosign/bundle",
      JSON.stringify({ SignedEntryTimestamp: made.signature, Payload: made.payload }),
    );
  }
  for (const [name, value] of Object.entries(more.annotations ?? {})) annotations.set(name, value);
  return { kind: "attachment", payload, annotations };
}

/** The statement that cosign 3 signs. */
export function signStatement(digest: string, more: object = {}): Buffer {
  return Buffer.from(
    JSON.stringify({
      _type: "https://in-toto.io/Statement/v1",
      subject: [{ digest: { sha256: digest.replace("sha256:", "") }, annotations: {} }],
      predicateType: "https://sigstore.dev/cosign/sign/v1",
      predicate: {},
      ...more,
    }),
  );
}

/** How the envelope of a bundle is logged. */
export interface BundleLogOptions extends LogOptions {
  readonly kind?: EnvelopeKind | "hashedrekord";
  /** What of the entry's spec is replaced. */
  readonly spec?: object;
}

/** A bundle as cosign 3 writes it, with anything of it replaced. */
export function bundle(
  key: SigningKey,
  statement: Uint8Array,
  more: {
    readonly material?: object;
    readonly logged?: BundleLogOptions;
    readonly top?: object;
    readonly envelope?: object;
  } = {},
): FoundSignature {
  const type = "application/vnd.in-toto+json";
  const signed = Buffer.concat([Buffer.from(`DSSEv1 ${type.length} ${type} ${statement.length} `), statement]);
  const signature = signWith(key, signed);
  const { logged } = more;
  const tlogEntries = logged && [envelopeEntry(logged, { statement, type, signed, signature, pem: key.pem })];
  const document = {
    mediaType: "application/vnd.dev.sigstore.bundle.v0.3+json",
    verificationMaterial: { publicKey: { hint: "x" }, ...(tlogEntries && { tlogEntries }), ...more.material },
    dsseEnvelope: {
      payload: base64(statement),
      payloadType: type,
      signatures: [{ sig: base64(signature) }],
      ...more.envelope,
    },
    ...more.top,
  };
  return { kind: "bundle", bytes: Buffer.from(JSON.stringify(document)) };
}

function envelopeEntry(
  { kind = "dsse", spec, ...options }: BundleLogOptions,
  made: {
    readonly statement: Uint8Array;
    readonly type: string;
    readonly signed: Uint8Array;
    readonly signature: Uint8Array;
    readonly pem: string;
  },
): object {
  const { statement: payload, type: payloadType, signed, signature, pem } = made;
  if (kind === "hashedrekord") {
    const body = Buffer.from(JSON.stringify({ ...logEntry(signed, signature, pem), ...spec }));
    return logEntryOf(body, { kind, version: "0.0.1" }, options);
  }
  const body = envelopeBody(kind, { payload, payloadType, signature, pem }, spec);
  return logEntryOf(body, { kind, version: versionOf[kind] }, options);
}

/** DER of a certificate in PEM, in base64. */
export function derOf(pem: string): string {
  return pem.replaceAll(/-----[^-]+-----|\s/g, "");
}
