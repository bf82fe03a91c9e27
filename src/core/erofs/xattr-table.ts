import type { ByteString } from "../bytes/byte-string.ts";
import { ByteWriter } from "../bytes/byte-writer.ts";
import type { Xattrs } from "../tree/inode.ts";
import { overlayKey } from "./format.ts";
import { OverlayXattrs } from "./overlay-xattrs.ts";
import {
  compareDescending,
  compareKeys,
  newKey,
  newPair,
  writeEntry,
  type XattrKey,
  type XattrPair,
} from "./xattr-pair.ts";
import { measured, writeXattrArea, type XattrSet } from "./xattr-set.ts";

/**
 * All xattrs of an image: which inode has which, and what is stored once for several of them.
 *
 * First every inode's xattrs go through {@link plain} or {@link exact}, and its content, where that is outside, through
 * `overlay.count`; then {@link finish} decides what is shared; then areas and the table can be written.
 */
export class XattrTable {
  readonly #keys = new Map<ByteString, XattrKey>();
  readonly #sets: XattrSet[] = [];
  /** Trees mostly use one map for many inodes; each is looked at once. */
  readonly #plainSets = new Map<Xattrs, XattrSet>();
  readonly #shared: XattrPair[] = [];
  /** What was written last: inodes that follow each other mostly have the same. */
  #lastArea: { readonly set: XattrSet; readonly bytes: Uint8Array } | undefined;
  /** Those of files whose bytes lie outside. */
  readonly overlay = new OverlayXattrs();

  /** An inode's xattrs as the tree has them; overlayfs's own ones are escaped so that it passes them on. */
  plain(xattrs: Xattrs): XattrSet {
    const set = this.#plainSets.get(xattrs) ?? this.#newPlainSet(xattrs);
    set.uses += 1;
    return set;
  }

  /** Xattrs that are to be written just so. */
  exact(xattrs: Xattrs): XattrSet {
    const pairs = Array.from(xattrs, ([key, value]) => this.#pair(key, value));
    const set = { ...measured(pairs.sort(compareKeys)), uses: 1 };
    this.#sets.push(set);
    return set;
  }

  /** Whether some inode has a POSIX ACL. */
  get hasAcl(): boolean {
    return this.#usesKey("system.posix_acl_access") || this.#usesKey("system.posix_acl_default");
  }

  #usesKey(key: string): boolean {
    return this.#keys.has(key as ByteString);
  }

  #newPlainSet(xattrs: Xattrs): XattrSet {
    const pairs = Array.from(xattrs, ([key, value]) => this.#pair(escapeKey(key), value));
    const set = measured(pairs.sort(compareKeys));
    this.#sets.push(set);
    this.#plainSets.set(xattrs, set);
    return set;
  }

  #pair(key: ByteString, value: ByteString): XattrPair {
    const taken = this.#keys.get(key) ?? this.#addKey(key);
    const known = taken.pairs.get(value);
    if (known !== undefined) return known;
    const pair = newPair(taken, value, "bytes");
    taken.pairs.set(value, pair);
    return pair;
  }

  #addKey(key: ByteString): XattrKey {
    const added = newKey(key);
    this.#keys.set(key, added);
    return added;
  }

  /** Decides what is shared and so the size of every area. Returns the bytes that the shared table takes. */
  finish(): number {
    for (const set of this.#sets) {
      for (const pair of set.pairs) pair.uses += set.uses;
    }
    for (const { pairs } of this.#keys.values()) {
      for (const pair of pairs.values()) if (pair.uses > 1) this.#shared.push(pair);
    }
    for (const pair of this.overlay.repeatedPairs()) this.#shared.push(pair);
    this.#shared.sort(compareDescending);
    let size = 0;
    for (const pair of this.#shared) {
      pair.sharedOffset = size;
      size += pair.entrySize;
    }
    for (const set of this.#sets) Object.assign(set, measured(set.pairs), { uses: set.uses });
    return size;
  }

  /** Writes the xattr area of an inode that has `set`; see {@link writeXattrArea}. `tableOffset` is the same for all. */
  writeArea(writer: ByteWriter, set: XattrSet, tableOffset: number): void {
    if (this.#lastArea?.set !== set) {
      const area = new ByteWriter(set.areaSize);
      writeXattrArea(area, set, tableOffset);
      this.#lastArea = { set, bytes: area.bytes };
    }
    writer.copy(this.#lastArea.bytes);
  }

  /** Writes the shared table. */
  writeShared(writer: ByteWriter): void {
    for (const pair of this.#shared) writeEntry(writer, pair);
  }
}

/** The key under which an overlay above shows `key` as what it is, instead of obeying it. */
export function escapeKey(key: ByteString): ByteString {
  if (!key.startsWith(overlayKey.prefix)) return key;
  return (overlayKey.escapedPrefix + key.slice(overlayKey.prefix.length)) as ByteString;
}
