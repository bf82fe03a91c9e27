import { createHash, sign } from "node:crypto";
import type { SigningKey } from "./signatures.ts";

const base64 = (bytes: Uint8Array | string) => Buffer.from(bytes).toString("base64");
const sha256 = (...parts: readonly Uint8Array[]) => createHash("sha256").update(Buffer.concat(parts)).digest();
const leafHash = (bytes: Uint8Array) => sha256(Buffer.of(0), bytes);
const nodeHash = (left: Uint8Array, right: Uint8Array) => sha256(Buffer.of(1), left, right);

/** A tree of a log: its root, and the way of one leaf to it. Written as RFC 6962 has it, which is not how it is checked. */
export function merkleTree(leaves: readonly Uint8Array[], index: number): { root: Buffer; path: readonly Buffer[] } {
  return { root: rootOf(leaves), path: pathOf(leaves, index) };
}

function rootOf(leaves: readonly Uint8Array[]): Buffer {
  const [only, second] = leaves;
  if (only !== undefined && second === undefined) return leafHash(only);
  const half = splitOf(leaves.length);
  return nodeHash(rootOf(leaves.slice(0, half)), rootOf(leaves.slice(half)));
}

function pathOf(leaves: readonly Uint8Array[], index: number): readonly Buffer[] {
  if (leaves.length === 1) return [];
  const half = splitOf(leaves.length);
  return index < half
    ? [...pathOf(leaves.slice(0, half), index), rootOf(leaves.slice(half))]
    : [...pathOf(leaves.slice(half), index - half), rootOf(leaves.slice(0, half))];
}

/** The largest power of two that is smaller. */
function splitOf(count: number): number {
  let half = 1;
  while (half * 2 < count) half *= 2;
  return half;
}

/** What a checkpoint says, with anything of it replaced. */
export interface CheckpointOptions {
  readonly origin?: string;
  readonly size?: string;
  readonly root?: string;
  /** Further lines of the text. */
  readonly more?: string;
  /** "spki" as Rekor does, "name" as signed notes have it for Ed25519. */
  readonly hint?: "spki" | "name" | Buffer;
  /** What stands in the place of all signature lines. */
  readonly signatures?: string;
}

/** A checkpoint of a log. */
export function checkpoint(key: SigningKey, tree: { root: Uint8Array; size: number }, options: CheckpointOptions = {}) {
  const { origin = "log.example - 1", size = String(tree.size), root = base64(tree.root), more = "" } = options;
  const text = Buffer.from(`${origin}\n${size}\n${root}\n${more}`);
  const signature = sign(key.secret.asymmetricKeyType === "ed25519" ? null : "sha256", text, key.secret);
  const name = "log.example";
  const line = `\u2014 ${name} ${base64(Buffer.concat([hintOf(key, name, options.hint ?? "spki"), signature]))}\n`;
  return `${text}\n${options.signatures ?? line}`;
}

function hintOf(key: SigningKey, name: string, kind: "spki" | "name" | Buffer): Buffer {
  if (Buffer.isBuffer(kind)) return kind;
  const spki = Buffer.from(key.pem.replaceAll(/-----[^-]+-----|\s/g, ""), "base64");
  const named = Buffer.concat([Buffer.from(`${name}\n\u0001`), spki.subarray(-32)]);
  return sha256(kind === "spki" ? spki : named).subarray(0, 4);
}

/** The id by which logs are told apart: the digest of the key. */
export function logIdOf(key: SigningKey): Buffer {
  return sha256(Buffer.from(key.pem.replaceAll(/-----[^-]+-----|\s/g, ""), "base64"));
}

/** How an entry came into a log. */
export interface LogOptions {
  readonly log: SigningKey;
  readonly integratedTime?: number;
  /** What of the entry is left out. */
  readonly without?: "promise" | "proof";
  /** Entries in the log; this is the last but one where there are several. */
  readonly size?: number;
  readonly checkpoint?: CheckpointOptions;
  /** Fields of the proof that are replaced. */
  readonly proof?: Readonly<Record<string, unknown>>;
}

/** A log's entry as bundles have it. */
export function logEntryOf(body: Buffer, kindVersion: object, options: LogOptions): object {
  const { log, integratedTime = 1_781_525_000, size = 6, without } = options;
  const index = Math.max(size - 2, 0);
  const leaves = Array.from({ length: size }, (_, at) => (at === index ? body : Buffer.from(`entry ${at}`)));
  const { root, path } = merkleTree(leaves, index);
  const logIndex = 1000 + index;
  const logID = logIdOf(log);
  const promised = JSON.stringify({ body: base64(body), integratedTime, logID: logID.toString("hex"), logIndex });
  const proof = {
    logIndex: String(index),
    rootHash: base64(root),
    treeSize: String(size),
    hashes: path.map(base64),
    checkpoint: { envelope: checkpoint(log, { root, size }, options.checkpoint) },
    ...options.proof,
  };
  const kind = log.secret.asymmetricKeyType === "ed25519" ? null : "sha256";
  const signedEntryTimestamp = base64(sign(kind, Buffer.from(promised), log.secret));
  return {
    logIndex: String(logIndex),
    logId: { keyId: base64(logID) },
    kindVersion,
    integratedTime: String(integratedTime),
    ...(without !== "promise" && { inclusionPromise: { signedEntryTimestamp } }),
    ...(without !== "proof" && { inclusionProof: proof }),
    canonicalizedBody: base64(body),
  };
}

/** The envelope that a log's entry is about. */
export interface LoggedEnvelope {
  readonly payload: Uint8Array;
  readonly payloadType: string;
  readonly signature: Uint8Array;
  /** Of the key or certificate. */
  readonly pem: string;
}

/** The kinds of entries that hold envelopes. */
export type EnvelopeKind = "dsse" | "intoto";

/** The entry of an envelope, with keys in order, as Rekor keeps it; anything of its spec replaced. */
export function envelopeBody(kind: EnvelopeKind, envelope: LoggedEnvelope, spec: object = {}): Buffer {
  const { payload, payloadType, signature, pem } = envelope;
  const hash = (bytes: Uint8Array) => ({ algorithm: "sha256", value: sha256(bytes).toString("hex") });
  const sig = base64(signature);
  const json = JSON.stringify({ payload: base64(payload), payloadType, signatures: [{ sig }] });
  const payloadHash = hash(payload);
  const made =
    kind === "dsse"
      ? { envelopeHash: hash(Buffer.from(json)), payloadHash, signatures: [{ signature: sig, verifier: base64(pem) }] }
      : {
          content: {
            envelope: { payloadType, signatures: [{ publicKey: base64(pem), sig: base64(sig) }] },
            hash: hash(Buffer.from(json)),
            payloadHash,
          },
        };
  const apiVersion = versionOf[kind];
  return Buffer.from(JSON.stringify({ apiVersion, kind, spec: { ...made, ...spec } }));
}

/** The version of each kind that is written today. */
export const versionOf: Readonly<Record<EnvelopeKind, string>> = { dsse: "0.0.1", intoto: "0.0.2" };
