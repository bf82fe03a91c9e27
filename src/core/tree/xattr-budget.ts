import type { ByteString } from "../bytes/byte-string.ts";

/** The most that an inode's xattrs may cost: half of what the C library's 16-bit size could count. */
const budgetBytes = 32767;

/** Bytes that an xattr costs besides key and value: its header of 4 and the worst padding of 3. */
const entryCost = 7;

/** Bytes that the first xattr costs in addition: the header of the xattr area. */
const areaCost = 12;

/** Longest key and value that an inode can carry, in bytes. */
const maxKeyLength = 255;
export const maxXattrValueLength = 65535;

/**
 * The xattrs of one inode while they are set one by one, with the cost that libcomposefs counts for them.
 *
 * The count starts at zero even where xattrs are there already, as it does when libcomposefs rewrites a tree; replacing
 * one of those can then make it negative, which is a failure there as well and so must be one here.
 */
export class XattrBudget {
  readonly xattrs: Map<ByteString, ByteString>;
  #cost = 0;

  constructor(xattrs: Iterable<readonly [ByteString, ByteString]> = []) {
    this.xattrs = new Map(xattrs);
  }

  /** Sets one xattr, replacing an older value. False when that is not possible; the xattrs are then undefined. */
  set(key: ByteString, value: ByteString): boolean {
    if (key.length === 0 || key.length > maxKeyLength || value.length > maxXattrValueLength) return false;
    const old = this.xattrs.get(key);
    if (old !== undefined) {
      this.xattrs.delete(key);
      this.#cost = this.xattrs.size === 0 ? 0 : this.#cost - (entryCost + key.length + old.length);
    }
    this.#cost += entryCost + key.length + value.length + (this.xattrs.size === 0 ? areaCost : 0);
    this.xattrs.set(key, value);
    return this.#cost >= 0 && this.#cost <= budgetBytes;
  }
}
