import { fromBytes } from "../bytes/byte-string.ts";
import { encodeText } from "../bytes/utf8.ts";
import { isSignedBy, type PublicKey } from "../digest/public-key.ts";
import { OsdeployError } from "../errors.ts";
import { parseDocument } from "../oci/json.ts";
import { badPlace, type JsonPlace, member, textOf } from "../oci/json-place.ts";
import { isCheckpointOf, parseCheckpoint } from "./checkpoint.ts";
import { base64Of, checkLogBody, type LoggedSignature, sameBytes } from "./log-body.ts";
import { type MerklePath, merkleRoot } from "./merkle-proof.ts";
import { onlyKeys } from "./only-keys.ts";

/** An entry of a transparency log, and by what the log answers for it. */
export interface LogEntry {
  readonly body: Uint8Array;
  readonly promise: LogPromise | undefined;
  readonly proof: LogProof | undefined;
}

/** The log's promise to hold an entry, with the time when it came: Rekor's signed entry timestamp. */
export interface LogPromise {
  readonly signature: Uint8Array;
  readonly integratedTime: number;
  readonly logIndex: number;
  /** Lower-case hex. */
  readonly logId: string;
}

/** The log's proof that it holds an entry. It tells no time. */
export interface LogProof extends MerklePath {
  readonly rootHash: Uint8Array;
  /** A signed note about the tree. */
  readonly checkpoint: string;
}

/**
 * Reads the text of the annotation `dev.sigstore.cosign/bundle`.
 *
 * @throws OsdeployError `bad-format`.
 */
export function parseLogAnnotation(text: string): LogEntry {
  const document = parseDocument(encodeText(text), "the promise of the log");
  onlyKeys(document, ["SignedEntryTimestamp", "Payload"]);
  const payload = member(document, "Payload");
  onlyKeys(payload, ["body", "integratedTime", "logIndex", "logID"]);
  return {
    body: base64Of(member(payload, "body")),
    promise: {
      signature: base64Of(member(document, "SignedEntryTimestamp")),
      integratedTime: wholeNumberOf(member(payload, "integratedTime")),
      logIndex: wholeNumberOf(member(payload, "logIndex")),
      logId: textOf(member(payload, "logID")),
    },
    proof: undefined,
  };
}

function wholeNumberOf(place: JsonPlace): number {
  if (typeof place.value !== "number" || !Number.isSafeInteger(place.value)) throw badPlace(place, "is not a number");
  return place.value;
}

/**
 * Checks that a log with one of `logKeys` holds an entry for exactly this signature, by all that the entry comes with. Tells
 * when it was made, in seconds since 1970; undefined where only a proof is there.
 *
 * @throws OsdeployError `bad-format` or `digest-mismatch` with what is wrong.
 */
export function checkLogEntry(
  entry: LogEntry,
  logKeys: readonly PublicKey[],
  logged: LoggedSignature,
): number | undefined {
  const { promise, proof } = entry;
  if (promise === undefined && proof === undefined) throw wrong("the log neither promises nor proves its entry");
  if (promise !== undefined && !isPromisedBy(entry.body, promise, logKeys)) throw wrong(unknownLog);
  if (proof !== undefined) checkProof(entry.body, proof, logKeys);
  checkLogBody(entry.body, logged);
  return promise?.integratedTime;
}

const unknownLog = "no log that the policy knows has promised its entry";

function isPromisedBy(body: Uint8Array, promise: LogPromise, logKeys: readonly PublicKey[]): boolean {
  const message = encodeText(canonicalPromise(body, promise));
  return logKeys.some((key) => isSignedBy(key, message, promise.signature));
}

/** RFC 8785 for these values: keys in order, no white space. All of them are plain ASCII. */
function canonicalPromise(body: Uint8Array, { integratedTime, logId, logIndex }: LogPromise): string {
  return JSON.stringify({ body: encodeBase64(body), integratedTime, logID: logId, logIndex });
}

function encodeBase64(bytes: Uint8Array): string {
  return btoa(fromBytes(bytes));
}

function checkProof(body: Uint8Array, proof: LogProof, logKeys: readonly PublicKey[]): void {
  const checkpoint = parseCheckpoint(proof.checkpoint);
  if (!isCheckpointOf(checkpoint, logKeys)) throw wrong("no log that the policy knows has signed its checkpoint");
  if (checkpoint.treeSize !== proof.treeSize || !sameBytes(checkpoint.rootHash, proof.rootHash)) {
    throw wrong("the checkpoint of the log is about another tree than its proof");
  }
  const root = merkleRoot(body, proof);
  if (root === undefined || !sameBytes(root, proof.rootHash))
    throw wrong("the log does not prove that it holds its entry");
}

function wrong(state: string): OsdeployError {
  return new OsdeployError("digest-mismatch", `Cannot accept the signature: ${state}`);
}
