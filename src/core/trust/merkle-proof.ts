import { fromHex } from "../bytes/hex.ts";
import { joinBytes } from "../bytes/join-bytes.ts";
import { sha256Of } from "../digest/blob-hasher.ts";

/** Where an entry is in the tree of a log, and what stands beside the way from it to the root. */
export interface MerklePath {
  /** From 0. */
  readonly index: number;
  /** Leaves in the tree. */
  readonly treeSize: number;
  /** From the leaf up. */
  readonly hashes: readonly Uint8Array[];
}

/** What goes before the bytes of a leaf, and of an inner node, so that neither can pass for the other. */
const [leafMark, nodeMark] = [0, 1];

/**
 * The root of the tree that holds `leaf` at the end of `path`; undefined when a tree of that size has no such path.
 *
 * @see https://www.rfc-editor.org/rfc/rfc9162#section-2.1.3.2
 */
export function merkleRoot(leaf: Uint8Array, { index, treeSize, hashes }: MerklePath): Uint8Array | undefined {
  if (index >= treeSize) return undefined;
  let [at, last] = [index, treeSize - 1];
  let root = digestOf(leafMark, leaf);
  for (const beside of hashes) {
    if (last === 0) return undefined;
    if (at % 2 === 1 || at === last) {
      root = digestOf(nodeMark, beside, root);
      // The last node of a row may have nobody beside it: it goes up alone.
      while (at % 2 === 0 && at !== 0) [at, last] = [half(at), half(last)];
    } else {
      root = digestOf(nodeMark, root, beside);
    }
    [at, last] = [half(at), half(last)];
  }
  return last === 0 ? root : undefined;
}

/** Not by shifting: a log may hold more entries than 32 bits count. */
function half(number: number): number {
  return Math.floor(number / 2);
}

function digestOf(mark: number, ...parts: readonly Uint8Array[]): Uint8Array {
  return fromHex(sha256Of(joinBytes([Uint8Array.of(mark), ...parts])).slice("sha256:".length));
}
