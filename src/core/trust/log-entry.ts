import { decodeBase64 } from "../bytes/base64.ts";
import { sha256Of } from "../digest/blob-hasher.ts";
import { isSameKey, isSignedBy, type PublicKey, parsePublicKey } from "../digest/public-key.ts";
import { OsdeployError } from "../errors.ts";
import { parseDocument } from "../oci/json.ts";
import { badPlace, type JsonPlace, member, textOf } from "../oci/json-place.ts";
import { onlyKeys } from "./only-keys.ts";

/** What a transparency log promises to hold, and its signature over that: Rekor's signed entry timestamp. */
export interface LogPromise {
  readonly signature: Uint8Array;
  /** The entry, as bytes. */
  readonly body: Uint8Array;
  readonly integratedTime: number;
  readonly logIndex: number;
  /** Lower-case hex. */
  readonly logId: string;
}

/** What an entry has to be about. */
export interface LoggedSignature {
  readonly signature: Uint8Array;
  /** That of the policy, or of the certificate. */
  readonly key: PublicKey;
  /** What the entry names by its sha256: the bytes that were signed. */
  readonly signedBytes: Uint8Array;
}

/**
 * Reads the text of the annotation `dev.sigstore.cosign/bundle`.
 *
 * @throws OsdeployError `bad-format`.
 */
export function parseLogAnnotation(text: string): LogPromise {
  const document = parseDocument(new TextEncoder().encode(text), "the promise of the log");
  onlyKeys(document, ["SignedEntryTimestamp", "Payload"]);
  const payload = member(document, "Payload");
  onlyKeys(payload, ["body", "integratedTime", "logIndex", "logID"]);
  return {
    signature: base64Of(member(document, "SignedEntryTimestamp")),
    body: base64Of(member(payload, "body")),
    integratedTime: wholeNumberOf(member(payload, "integratedTime")),
    logIndex: wholeNumberOf(member(payload, "logIndex")),
    logId: textOf(member(payload, "logID")),
  };
}

/** The bytes of a text in base64. */
export function base64Of(place: JsonPlace): Uint8Array {
  const bytes = decodeBase64(textOf(place));
  if (bytes === undefined) throw badPlace(place, "is not base64");
  return bytes;
}

function wholeNumberOf(place: JsonPlace): number {
  if (typeof place.value !== "number" || !Number.isSafeInteger(place.value)) throw badPlace(place, "is not a number");
  return place.value;
}

/**
 * Checks that one of `logKeys` promises an entry for exactly this signature, and tells when it was made, in seconds since
 * 1970. The comparison of key, signature and digest is what binds the promise to the image: without it the promise for
 * anything else would do.
 *
 * @throws OsdeployError `bad-format` or `digest-mismatch` with what is wrong.
 */
export function checkLogPromise(promise: LogPromise, logKeys: readonly PublicKey[], logged: LoggedSignature): number {
  if (!isPromisedBy(promise, logKeys)) throw wrong("no log that the policy knows has promised its entry");
  checkBody(promise.body, logged);
  return promise.integratedTime;
}

/** Whether one of `logKeys` made the promise, whatever it is about. */
export function isPromisedBy(promise: LogPromise, logKeys: readonly PublicKey[]): boolean {
  const message = new TextEncoder().encode(canonicalPromise(promise));
  return logKeys.some((key) => isSignedBy(key, message, promise.signature));
}

/** RFC 8785 for these values: keys in order, no white space. All of them are plain ASCII. */
function canonicalPromise({ body, integratedTime, logId, logIndex }: LogPromise): string {
  return JSON.stringify({ body: encodeBase64(body), integratedTime, logID: logId, logIndex });
}

function encodeBase64(bytes: Uint8Array): string {
  return btoa(new TextDecoder("latin1").decode(bytes));
}

function checkBody(body: Uint8Array, { signature, key, signedBytes }: LoggedSignature): void {
  const entry = parseDocument(body, "the entry of the log");
  const [kind, version] = ["kind", "apiVersion"].map((name) => textOf(member(entry, name)));
  if (kind !== "hashedrekord" || version !== "0.0.1") throw wrong(`its log entry is a ${kind} ${version}`);
  const spec = member(entry, "spec");
  const digest = member(member(spec, "data"), "hash");
  const named = `${textOf(member(digest, "algorithm"))}:${textOf(member(digest, "value"))}`;
  if (named !== sha256Of(signedBytes)) throw wrong("its log entry is about something else");
  const logged = member(spec, "signature");
  if (!sameBytes(base64Of(member(logged, "content")), signature)) throw wrong("its log entry has another signature");
  const loggedKey = parsePublicKey(
    base64Of(member(member(logged, "publicKey"), "content")),
    "the key of the log entry",
  );
  if (!isSameKey(loggedKey, key)) throw wrong("its log entry has another key");
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, at) => byte === b[at]);
}

function wrong(state: string): OsdeployError {
  return new OsdeployError("digest-mismatch", `Cannot accept the signature: ${state}`);
}
