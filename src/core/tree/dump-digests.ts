import { parseDump } from "./dump-parser.ts";
import type { FileTree } from "./inode.ts";

/** A dump whose digests may be of either algorithm. */
export interface AnyDump {
  /** To be written as an image: its files may be rows. */
  readonly tree: FileTree;
  /** How many digests had more digits than were taken, as mkcomposefs has it: files that nobody will be able to verify. */
  readonly cutDigests: number;
}

const sha256Digits = 64;
const sha512Digits = 128;

/**
 * Reads a dump as mkcomposefs does, but for one of a sha512 repo: where every digest has 128 digits, all of them count.
 * mkcomposefs knows sha256 only and takes the first 64 of whatever there is, which makes an image that cannot be right.
 *
 * @throws OsdeployError `bad-format`; see {@link parseDump}.
 */
export function parseAnyDump(text: Uint8Array, options: { readonly strict: boolean }): AnyDump {
  let digests = 0;
  let long = 0;
  let cutDigests = 0;
  const tree = parseDump(text, {
    ...options,
    rows: true,
    onDigest: (length) => {
      digests++;
      if (length > sha256Digits) cutDigests++;
      if (length === sha512Digits) long++;
    },
  });
  if (long === 0 || long < digests) return { tree, cutDigests };
  return { tree: parseDump(text, { ...options, rows: true, algorithm: "sha512" }), cutDigests: 0 };
}
