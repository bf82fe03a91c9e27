import { isHex } from "../bytes/hex.ts";
import { OsdeployError } from "../errors.ts";

/** The two hash algorithms of fs-verity that a repo can name its objects with. Blocks are 4096 bytes, no salt. */
export type VerityAlgorithm = "sha256" | "sha512";

/** The fs-verity digest of some bytes, in lower-case hex: the name of an object or of a root image. */
export type ObjectId = string & { readonly __role: "ObjectId" };

/** Bytes in a digest of `algorithm`. */
export function digestLength(algorithm: VerityAlgorithm): 32 | 64 {
  return algorithm === "sha256" ? 32 : 64;
}

/**
 * Takes `text` for an object's name.
 *
 * @throws OsdeployError `bad-format` when it is not 64 (sha256) or 128 (sha512) lower-case hex digits.
 */
export function parseObjectId(text: string, algorithm: VerityAlgorithm): ObjectId {
  if (!isHex(text, digestLength(algorithm))) {
    throw new OsdeployError(
      "bad-format",
      `Cannot use "${text.slice(0, 140)}" as a ${algorithm} object id: it is not ${digestLength(algorithm) * 2} lower-case hex digits`,
    );
  }
  return text as ObjectId;
}
