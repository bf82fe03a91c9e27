import { decodeBase64 } from "../bytes/base64.ts";
import { fromBytes } from "../bytes/byte-string.ts";
import { sha256Of } from "../digest/blob-hasher.ts";
import { isSameKey, type PublicKey, parseCertificates, parsePublicKey } from "../digest/public-key.ts";
import { OsdeployError } from "../errors.ts";
import { parseDocument } from "../oci/json.ts";
import { arrayOf, badPlace, type JsonPlace, member, textOf } from "../oci/json-place.ts";

/** What an entry has to be about. */
export interface LoggedSignature {
  readonly signature: Uint8Array;
  /** That of the policy, or of the certificate. */
  readonly key: PublicKey;
  /** DER of the signer's certificate, where it was one that signed. */
  readonly certificate: Uint8Array | undefined;
  /** The bytes that were signed. */
  readonly signedBytes: Uint8Array;
  /** What is in a DSSE envelope; undefined for signatures without one. */
  readonly payload: Uint8Array | undefined;
}

/** What an entry of the log says of a signature, whatever its kind. */
interface LoggedFacts {
  /** `sha256:` and hex. */
  readonly digest: string;
  /** What of the signature the digest is about. */
  readonly covered: "signedBytes" | "payload";
  readonly signature: Uint8Array;
  /** PEM of a key or certificate. */
  readonly verifier: Uint8Array;
}

/** How entries of each kind and version are read. */
const readers: Readonly<Record<string, (spec: JsonPlace) => LoggedFacts>> = {
  "hashedrekord 0.0.1": readHashedRekord,
  "dsse 0.0.1": readDsse,
  "intoto 0.0.2": readIntoto,
};

/**
 * Compares the body of a log's entry with a signature: its kind, the digest of what was signed, the signature and who made
 * it. This is what binds an entry to an image: without it an entry for anything else would do.
 *
 * @throws OsdeployError `bad-format` or `digest-mismatch` with what is wrong.
 * @see https://github.com/sigstore/rekor/tree/main/pkg/types
 */
export function checkLogBody(body: Uint8Array, logged: LoggedSignature): void {
  const entry = parseDocument(body, "the entry of the log");
  const kind = ["kind", "apiVersion"].map((name) => textOf(member(entry, name))).join(" ");
  const read = Object.hasOwn(readers, kind) ? readers[kind] : undefined;
  if (read === undefined) throw wrong(`its log entry is a ${kind.slice(0, 80)}`);
  const { digest, covered, signature, verifier } = read(member(entry, "spec"));
  const about = logged[covered];
  if (about === undefined || digest !== sha256Of(about)) throw wrong("its log entry is about something else");
  if (!sameBytes(signature, logged.signature)) throw wrong("its log entry has another signature");
  checkVerifier(verifier, logged);
}

/** A signature over bytes that the log has never seen. */
function readHashedRekord(spec: JsonPlace): LoggedFacts {
  const signature = member(spec, "signature");
  return {
    digest: digestAt(member(member(spec, "data"), "hash")),
    covered: "signedBytes",
    signature: base64Of(member(signature, "content")),
    verifier: base64Of(member(member(signature, "publicKey"), "content")),
  };
}

/** An envelope. Of the digest of its JSON nothing can be said: nobody has that JSON any more. */
function readDsse(spec: JsonPlace): LoggedFacts {
  const signature = onlyOne(member(spec, "signatures"));
  return {
    digest: digestAt(member(spec, "payloadHash")),
    covered: "payload",
    signature: base64Of(member(signature, "signature")),
    verifier: base64Of(member(signature, "verifier")),
  };
}

/** An envelope, as it was logged before: what was base64 in the envelope is in base64 once more. */
function readIntoto(spec: JsonPlace): LoggedFacts {
  const content = member(spec, "content");
  const envelope = onlyOne(member(member(content, "envelope"), "signatures"));
  const place = member(envelope, "sig");
  const signature = decodeBase64(fromBytes(base64Of(place)));
  if (signature === undefined) throw badPlace(place, "is not base64 of base64");
  return {
    digest: digestAt(member(content, "payloadHash")),
    covered: "payload",
    signature,
    verifier: base64Of(member(envelope, "publicKey")),
  };
}

function onlyOne(place: JsonPlace): JsonPlace {
  const [first, second] = arrayOf(place, 64);
  if (first === undefined || second !== undefined) throw badPlace(place, "needs exactly one signature");
  return first;
}

function digestAt(place: JsonPlace): string {
  return `${textOf(member(place, "algorithm"))}:${textOf(member(place, "value"))}`;
}

/** Of a certificate the whole has to be the same: the log says when it was used, and others of the same key may be valid then. */
function checkVerifier(pem: Uint8Array, { key, certificate }: LoggedSignature): void {
  const what = "the key of the log entry";
  if (certificate === undefined) {
    if (!isSameKey(parsePublicKey(pem, what), key)) throw wrong("its log entry has another key");
    return;
  }
  const [logged] = parseCertificates(pem, what);
  if (logged === undefined || !sameBytes(logged.der, certificate)) throw wrong("its log entry has another certificate");
}

/** The bytes of a text in base64. */
export function base64Of(place: JsonPlace): Uint8Array {
  const bytes = decodeBase64(textOf(place));
  if (bytes === undefined) throw badPlace(place, "is not base64");
  return bytes;
}

/** Whether two lists of bytes are the same. */
export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, at) => byte === b[at]);
}

function wrong(state: string): OsdeployError {
  return new OsdeployError("digest-mismatch", `Cannot accept the signature: ${state}`);
}
