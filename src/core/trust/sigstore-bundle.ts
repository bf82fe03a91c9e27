import { decodeBase64 } from "../bytes/base64.ts";
import { OsdeployError } from "../errors.ts";
import { parseDocument } from "../oci/json.ts";
import { arrayOf, badPlace, type JsonPlace, member, optional, textOf } from "../oci/json-place.ts";
import { base64Of, type LogPromise } from "./log-entry.ts";

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
  readonly promises: readonly LogPromise[];
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
    promises: promisesOf(material),
    statement,
  };
}

/** What DSSE signs: type and payload with their lengths, so that neither can be read as part of the other. */
function preAuthenticationEncoding(type: string, payload: Uint8Array): Uint8Array {
  const typeBytes = new TextEncoder().encode(type);
  const head = new TextEncoder().encode(`DSSEv1 ${typeBytes.length} ${type} ${payload.length} `);
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

/** Entries with a proof but without a promise tell no time; they are passed over. */
function promisesOf(material: JsonPlace): readonly LogPromise[] {
  const entries = optional(material, "tlogEntries");
  return (entries === undefined ? [] : arrayOf(entries, listLimit)).flatMap((entry) => {
    const promise = optional(entry, "inclusionPromise");
    if (promise === undefined) return [];
    return [
      {
        signature: base64Of(member(promise, "signedEntryTimestamp")),
        body: base64Of(member(entry, "canonicalizedBody")),
        integratedTime: int64Of(member(entry, "integratedTime")),
        logIndex: int64Of(member(entry, "logIndex")),
        logId: hexOf(member(member(entry, "logId"), "keyId")),
      },
    ];
  });
}

/** Numbers of 64 bits are written as texts. */
function int64Of(place: JsonPlace): number {
  const value = Number(textOf(place));
  if (!/^[0-9]+$/.test(textOf(place)) || !Number.isSafeInteger(value)) throw badPlace(place, "is not a number");
  return value;
}

function hexOf(place: JsonPlace): string {
  const bytes = decodeBase64(textOf(place)) ?? new Uint8Array(0);
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
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
