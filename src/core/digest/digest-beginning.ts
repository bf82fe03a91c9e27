import { digestLengths, type ManifestDigest, splitDigest } from "./oci-digest.ts";

/** Of fewer digits nobody can say that they were meant: an unset variable of a script has none. */
export const leastDigits = 4;

/**
 * Which digests `words` may mean: a digest, or the beginning of one with or without its algorithm, as tables show it. Undefined for
 * words that are none, or less than {@link leastDigits} digits.
 */
export function digestsBeginning(words: string): ((digest: ManifestDigest) => boolean) | undefined {
  const [, algorithm, digits = ""] = /^(?:(sha256|sha512):)?([0-9a-f]*)$/.exec(words) ?? [];
  const bytes = algorithm === "sha256" ? digestLengths.sha256 : digestLengths.sha512;
  if (digits.length < leastDigits || digits.length > 2 * bytes) return undefined;
  return (digest) => {
    const parts = splitDigest(digest);
    return (algorithm === undefined || algorithm === parts.algorithm) && parts.hex.startsWith(digits);
  };
}
