import { fromHex } from "../bytes/hex.ts";
import { encodeText } from "../bytes/utf8.ts";
import { BlobHasher } from "../digest/blob-hasher.ts";
import { OsdeployError } from "../errors.ts";

/** A UUID as text: 32 lower-case hex digits in groups of 8, 4, 4, 4 and 12. */
export type Uuid = string & { readonly __role: "Uuid" };

/**
 * Takes `text` for a UUID.
 *
 * @throws OsdeployError `bad-format` when it is none.
 */
export function parseUuid(text: string): Uuid {
  if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(text)) {
    throw new OsdeployError("bad-format", `Cannot use "${text.slice(0, 80)}" as a UUID: it is none in lower case`);
  }
  return text as Uuid;
}

/**
 * The UUID that a seed gives: the same seed, the same UUID, on every machine. Version 8 ("custom"), from sha256.
 *
 * @see https://www.rfc-editor.org/rfc/rfc9562#name-uuid-version-8
 */
export function uuidOfSeed(seed: string): Uuid {
  const hasher = new BlobHasher("sha256");
  hasher.update(encodeText(seed));
  const hex = hasher.measured().slice("sha256:".length);
  const variant = "89ab"[Number.parseInt(hex.slice(16, 17), 16) % 4];
  const groups = [hex.slice(0, 8), hex.slice(8, 12), `8${hex.slice(13, 16)}`, `${variant}${hex.slice(17, 20)}`];
  return [...groups, hex.slice(20, 32)].join("-") as Uuid;
}

/** The 16 bytes of a UUID as GPT stores it: the first three groups with their bytes swapped. */
export function guidBytes(uuid: Uuid): Uint8Array {
  const bytes = fromHex(uuid.replaceAll("-", ""));
  for (const [start, end] of [
    [0, 4],
    [4, 6],
    [6, 8],
  ] as const) {
    bytes.subarray(start, end).reverse();
  }
  return bytes;
}
