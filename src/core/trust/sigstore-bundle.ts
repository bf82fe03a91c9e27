import { toHex } from "../bytes/hex.ts";
import { encodeText } from "../bytes/utf8.ts";
import { OsdeployError } from "../errors.ts";
import { parseDocument } from "../oci/json.ts";
import { arrayOf, badPlace, type JsonPlace, member, optional, textOf } from "../oci/json-place.ts";
import { base64Of } from "./log-body.ts";
import type { LogEntry, LogProof } from "./log-entry.ts";

/** The media types of bundles that can be read. */
export const bundleMediaTypes: readonly string[] = [
  "application/vnd.dev.sigstore.bundle.v0.3+json",
  "application/vnd.dev.sigstore.bundle+json;version=0.3",
  "application/vnd.dev.sigstore.bundle+json;version=0.2",
  "application/vnd.dev.sigstore.bundle+json;version=0.1",
];

/** A bundle as cosign 3 writes it: a statement about digests, and who signed it. */
export interface SigstoreBundle {
  /** What the signature covers. */
  readonly signedBytes: Uint8Array;
  readonly signature: Uint8Array;
  /** DER of the signer's certificate, and of those between it and its authority; none for a plain key. */
  readonly certificates: readonly Uint8Array[];
  /** Read when they are asked for: who looks at keys only lets no entry stand in the way. */
  readonly logEntries: () => readonly LogEntry[];
  /** The statement itself. */
  readonly statement: Uint8Array;
}

const statementType = "application/vnd.in-toto+json";

/** Lists in a bundle are short. */
const listLimit = 64;

/**
 * Reads a bundle.
 *
 * @throws OsdeployError `bad-format`, or `unsupported` for bundles that hold no statement.
 * @see https://github.com/sigstore/protobuf-specs/blob/main/protos/sigstore_bundle.proto
 */
export function parseSigstoreBundle(bytes: Uint8Array): SigstoreBundle {
  const document = parseDocument(bytes, "the signature bundle");
  const mediaType = textOf(member(document, "mediaType"));
  if (!bundleMediaTypes.includes(mediaType)) {
    throw new OsdeployError(
      "unsupported",
      `Cannot read the signature bundle: its type is ${JSON.stringify(mediaType)}`,
    );
  }
  const envelope = optional(document, "dsseEnvelope");
  if (envelope === undefined) {
    throw new OsdeployError("unsupported", "Cannot read the signature bundle: it holds no statement");
  }
  const payloadType = textOf(member(envelope, "payloadType"));
  if (payloadType !== statementType) throw badPlace(member(envelope, "payloadType"), "is not an in-toto statement");
  const material = member(document, "verificationMaterial");
  const statement = base64Of(member(envelope, "payload"));
  const [signature, second] = arrayOf(member(envelope, "signatures"), listLimit);
  if (signature === undefined || second !== undefined) throw badPlace(envelope, "needs exactly one signature");
  return {
    signedBytes: preAuthenticationEncoding(payloadType, statement),
    signature: base64Of(member(signature, "sig")),
    certificates: certificatesOf(material),
    logEntries: () => logEntriesOf(material, mediaType),
    statement,
  };
}

/** What DSSE signs: type and payload with their lengths, so that neither can be read as part of the other. */
function preAuthenticationEncoding(type: string, payload: Uint8Array): Uint8Array {
  const typeBytes = encodeText(type);
  const head = encodeText(`DSSEv1 ${typeBytes.length} ${type} ${payload.length} `);
  const encoded = new Uint8Array(head.length + payload.length);
  encoded.set(head);
  encoded.set(payload, head.length);
  return encoded;
}

function certificatesOf(material: JsonPlace): readonly Uint8Array[] {
  const leaf = optional(material, "certificate");
  const chain = optional(material, "x509CertificateChain");
  const places = leaf === undefined ? chain && arrayOf(member(chain, "certificates"), listLimit) : [leaf];
  return (places ?? []).map((place) => base64Of(member(place, "rawBytes")));
}

/** Since version 0.2 each entry comes with a proof, before with a promise; it may have both. */
function logEntriesOf(material: JsonPlace, mediaType: string): readonly LogEntry[] {
  const entries = optional(material, "tlogEntries");
  return (entries === undefined ? [] : arrayOf(entries, listLimit)).map((entry) => {
    const needed = mediaType.endsWith("version=0.1") ? "inclusionPromise" : "inclusionProof";
    const promise = optional(entry, "inclusionPromise");
    const proof = optional(entry, "inclusionProof");
    member(entry, needed);
    return {
      body: base64Of(member(entry, "canonicalizedBody")),
      promise: promise && {
        signature: base64Of(member(promise, "signedEntryTimestamp")),
        integratedTime: int64Of(member(entry, "integratedTime")),
        logIndex: int64Of(member(entry, "logIndex")),
        logId: toHex(base64Of(member(member(entry, "logId"), "keyId"))),
      },
      proof: proof && proofOf(proof),
    };
  });
}

/** A tree of 2^53 leaves has no longer way to its root. */
const pathLimit = 64;

function proofOf(proof: JsonPlace): LogProof {
  const hashes = optional(proof, "hashes");
  // What is 0 may be left out.
  const index = optional(proof, "logIndex");
  return {
    index: index === undefined ? 0 : int64Of(index),
    treeSize: int64Of(member(proof, "treeSize")),
    rootHash: base64Of(member(proof, "rootHash")),
    hashes: hashes === undefined ? [] : arrayOf(hashes, pathLimit).map(base64Of),
    checkpoint: textOf(member(member(proof, "checkpoint"), "envelope")),
  };
}

/** Numbers of 64 bits are written as texts; readers take both. */
function int64Of(place: JsonPlace): number {
  const text = typeof place.value === "number" ? String(place.value) : textOf(place);
  const value = Number(text);
  if (!/^[0-9]+$/.test(text) || !Number.isSafeInteger(value)) throw badPlace(place, "is not a number");
  return value;
}

const statementTypes: readonly string[] = ["https://in-toto.io/Statement/v1", "https://in-toto.io/Statement/v0.1"];

/** The kind of statement that is a signature; an SBOM or a provenance about the same image is none. */
const signaturePredicate = "https://sigstore.dev/cosign/sign/v1";

/**
 * The sha256 digests that a statement signs, in OCI's form. To be called only after its signature was checked.
 *
 * @throws OsdeployError `bad-format`; `unsupported` when it is a statement of another kind.
 */
export function signedDigests(statement: Uint8Array): readonly string[] {
  const document = parseDocument(statement, "the signed statement");
  const predicate = textOf(member(document, "predicateType"));
  if (!statementTypes.includes(textOf(member(document, "_type"))) || predicate !== signaturePredicate) {
    throw new OsdeployError("unsupported", `Cannot use the signed statement: it is a ${predicate}, not a signature`);
  }
  return arrayOf(member(document, "subject"), 1024).flatMap((subject) => {
    const sha256 = optional(member(subject, "digest"), "sha256");
    return sha256 === undefined ? [] : [`sha256:${textOf(sha256)}`];
  });
}
