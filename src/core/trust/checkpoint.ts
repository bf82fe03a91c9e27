import { decodeBase64 } from "../bytes/base64.ts";
import { toHex } from "../bytes/hex.ts";
import { encodeText } from "../bytes/utf8.ts";
import { sha256Of } from "../digest/blob-hasher.ts";
import { isSignedBy, keyBytes, type PublicKey } from "../digest/public-key.ts";
import { OsdeployError } from "../errors.ts";

/** What a log says of itself at one moment. */
export interface Checkpoint {
  readonly treeSize: number;
  readonly rootHash: Uint8Array;
  /** What the signatures cover. */
  readonly signedBytes: Uint8Array;
  readonly signatures: readonly NoteSignature[];
}

interface NoteSignature {
  readonly name: string;
  /** Of the key, four bytes in hex. */
  readonly hint: string;
  readonly signature: Uint8Array;
}

/** A log and its witnesses. */
const signatureLimit = 64;

/**
 * Reads a checkpoint: a signed note, whose lines are the log's name, the size of its tree, the hash of its root in base64,
 * and perhaps more; an empty line; and a line for each signature.
 *
 * @throws OsdeployError `bad-format`.
 * @see https://github.com/C2SP/C2SP/blob/main/tlog-checkpoint.md
 */
export function parseCheckpoint(text: string): Checkpoint {
  const end = text.lastIndexOf("\n\n");
  const body = text.slice(0, end + 1);
  const [, size = "", root = ""] = body.split("\n");
  const lines = text.slice(end + 2).split("\n");
  const rootHash = decodeBase64(root);
  const isWhole = end > 0 && lines.pop() === "" && lines.length > 0 && lines.length <= signatureLimit;
  const treeSize = Number(size);
  if (!isWhole || !/^[1-9][0-9]*$/.test(size) || !Number.isSafeInteger(treeSize) || rootHash?.length !== 32) {
    throw unreadable();
  }
  return { treeSize, rootHash, signedBytes: encodeText(body), signatures: lines.map(parseSignature) };
}

function parseSignature(line: string): NoteSignature {
  const [, name, encoded] = /^\u2014 ([^\s+]+) (\S+)$/.exec(line) ?? [];
  const bytes = decodeBase64(encoded ?? "");
  if (name === undefined || bytes === undefined || bytes.length <= 4) throw unreadable();
  return { name, hint: toHex(bytes.subarray(0, 4)), signature: bytes.subarray(4) };
}

/** Whether one of the keys signed it. */
export function isCheckpointOf({ signatures, signedBytes }: Checkpoint, keys: readonly PublicKey[]): boolean {
  return signatures.some(({ name, hint, signature }) =>
    keys.some((key) => hintsOf(key, name).includes(hint) && isSignedBy(key, signedBytes, signature)),
  );
}

/** The first bytes of the digest of the key's DER, as Rekor has it; for Ed25519 that of the name and the key, as others have it. */
function hintsOf(key: PublicKey, name: string): readonly string[] {
  const { spki, ed25519 } = keyBytes(key);
  const ofName = new Uint8Array([...encodeText(`${name}\n`), 1, ...(ed25519 ?? [])]);
  return [spki, ...(ed25519 === undefined ? [] : [ofName])].map((bytes) => sha256Of(bytes).slice(7, 15));
}

function unreadable(): OsdeployError {
  return new OsdeployError("bad-format", "Cannot read the checkpoint of the log: it is no signed note about a tree");
}
