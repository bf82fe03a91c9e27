import { type ByteString, compareBytes, fromBytes } from "../bytes/byte-string.ts";
import type { ByteWriter } from "../bytes/byte-writer.ts";
import { fromHex } from "../bytes/hex.ts";
import { OsdeployError } from "../errors.ts";
import type { ExternalContent, Xattrs } from "../tree/inode.ts";
import { overlayKey, xattrEntrySize, xattrHeaderSize, xattrPrefixes } from "./format.ts";
import { xxh32 } from "./xxh32.ts";

/** Where the name filter's hash starts, as the kernel has it; another start makes it look for absent names. */
const filterSeed = 0x25bbe08f;

/** The most xattrs of one inode that refer to the shared table, as libcomposefs has it. */
const maxSharedReferences = 128;

const maxValueLength = 65535;
/** What the 16 bits of an inode that count its xattr area in fours can say. */
const maxAreaSize = xattrHeaderSize + 4 * 65534;

/** An xattr key as the format takes it apart. */
interface XattrKey {
  readonly key: ByteString;
  readonly index: number;
  readonly name: ByteString;
  /** The bit that a name filter clears for it. */
  readonly filterBit: number;
  /** By {@link XattrPair.source}. */
  readonly pairs: Map<string, XattrPair>;
}

/** How the value in the image comes from a pair's source. */
type ValueForm =
  /** It is the source. */
  | "bytes"
  /** The source is a path in the object directory; the value has a slash before it. */
  | "redirect"
  /** The source is a digest in hex; the value is what overlayfs compares with the file's measurement. */
  | "metacopy";

/** A key with a value; one for all inodes that have it. */
interface XattrPair {
  readonly key: XattrKey;
  readonly source: string;
  readonly form: ValueForm;
  readonly valueLength: number;
  readonly entrySize: number;
  /** How many inodes have it; of overlayfs's own only whether they are several. */
  uses: number;
  /** Where it is in the shared table, in bytes; -1 when it is not. */
  sharedOffset: number;
}

/** The xattrs that some inodes have in the image, and the size of the area that holds them there. */
export interface XattrSet {
  /** In byte order of their keys. */
  readonly pairs: readonly XattrPair[];
  /** How many inodes have just these. */
  uses: number;
  sharedCount: number;
  /** Bytes of the xattr area; a multiple of 4. */
  areaSize: number;
  nameFilter: number;
}

/** The values of one key of overlayfs that were met, and those of them that were met again. */
interface OverlayValues {
  readonly key: XattrKey;
  readonly form: ValueForm;
  readonly seen: Set<string>;
  readonly repeated: Map<string, XattrPair>;
}

/**
 * All xattrs of an image: which inode has which, and what is stored once for several of them.
 *
 * First every inode's xattrs go through {@link plain} or {@link exact}, and its content, where that is outside, through
 * {@link countExternal}; then {@link finish} decides what is shared; then areas and the table can be written.
 */
export class XattrTable {
  readonly #keys = new Map<ByteString, XattrKey>();
  readonly #sets: XattrSet[] = [];
  /** Trees mostly use one map for many inodes; each is looked at once. */
  readonly #plainSets = new Map<Xattrs, XattrSet>();
  #shared: XattrPair[] = [];
  readonly #metacopies = this.#overlayValues(overlayKey.metacopy, "metacopy");
  readonly #redirects = this.#overlayValues(overlayKey.redirect, "redirect");
  /** As long as each file lies where its digest says, two have the same path just when they have the same digest. */
  #pathsFollowDigests = true;

  /** An inode's xattrs as the tree has them; overlayfs's own ones are escaped so that it passes them on. */
  plain(xattrs: Xattrs): XattrSet {
    const set = this.#plainSets.get(xattrs) ?? this.#newPlainSet(xattrs);
    set.uses += 1;
    return set;
  }

  /** Notes that a file has the xattrs that tell overlayfs where its bytes are and what they measure to. */
  countExternal(content: ExternalContent): void {
    const { digest, backingPath } = content;
    if (this.#pathsFollowDigests && !followsDigest(content)) this.#countPathsAlone();
    const isRepeated = count(this.#metacopies, digest ?? "");
    if (backingPath === undefined || backingPath === "") return;
    if (!this.#pathsFollowDigests) count(this.#redirects, backingPath);
    else if (isRepeated) countAgain(this.#redirects, backingPath);
  }

  /** From here on paths are counted for themselves; those so far follow from the digests. */
  #countPathsAlone(): void {
    this.#pathsFollowDigests = false;
    for (const digest of this.#metacopies.seen) this.#redirects.seen.add(objectPath(digest));
  }

  /**
   * The xattrs of a file outside, which are `set` and those two. Made when they are needed instead of kept: nearly every
   * file has its own, and there are many files. Right only after {@link finish}.
   */
  external(set: XattrSet, content: ExternalContent): XattrSet {
    const metacopy = pairOf(this.#metacopies, content.digest ?? "");
    const pairs = set.pairs.length === 0 ? [metacopy] : insertPair(set.pairs, metacopy);
    const { backingPath } = content;
    const both =
      backingPath === undefined || backingPath === "" ? pairs : insertPair(pairs, pairOf(this.#redirects, backingPath));
    return measured(both);
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

  #overlayValues(key: string, form: ValueForm): OverlayValues {
    return { key: this.#newKey(key as ByteString), form, seen: new Set(), repeated: new Map() };
  }

  #pair(key: ByteString, value: ByteString): XattrPair {
    const taken = this.#keys.get(key) ?? this.#newKey(key);
    const known = taken.pairs.get(value);
    if (known !== undefined) return known;
    const pair = newPair(taken, value, "bytes");
    taken.pairs.set(value, pair);
    return pair;
  }

  #newKey(key: ByteString): XattrKey {
    const prefix = xattrPrefixes.find((candidate) => key.startsWith(candidate.prefix));
    const index = prefix?.index ?? 0;
    const name = key.slice(prefix?.prefix.length ?? 0) as ByteString;
    if (key.length === 0 || name.length > 255 || key.includes("\0")) {
      throw new OsdeployError(
        "bad-format",
        `Cannot write a root image: "${key.slice(0, 300)}" cannot be an xattr's key`,
      );
    }
    const filterBit = xxh32(name, (filterSeed + index) >>> 0) & 31;
    const taken = { key, index, name, filterBit, pairs: new Map<string, XattrPair>() };
    this.#keys.set(key, taken);
    return taken;
  }

  /** Decides what is shared and so the size of every area. Returns the bytes that the shared table takes. */
  finish(): number {
    for (const set of this.#sets) {
      for (const pair of set.pairs) pair.uses += set.uses;
    }
    const perKey = Array.from(this.#keys.values(), ({ pairs }) => pairs);
    for (const pairs of [...perKey, this.#metacopies.repeated, this.#redirects.repeated]) {
      for (const pair of pairs.values()) if (pair.uses > 1) this.#shared.push(pair);
    }
    this.#shared.sort(compareDescending);
    let size = 0;
    for (const pair of this.#shared) {
      pair.sharedOffset = size;
      size += pair.entrySize;
    }
    for (const set of this.#sets) Object.assign(set, measured(set.pairs), { uses: set.uses });
    return size;
  }

  /** Writes the shared table. */
  writeShared(writer: ByteWriter): void {
    for (const pair of this.#shared) writeEntry(writer, pair);
  }
}

/**
 * Writes the xattr area of an inode that has `set`; nothing when that is empty. `tableOffset` is where the shared table
 * starts, in bytes from the block that the superblock names for it.
 */
export function writeXattrArea(writer: ByteWriter, set: XattrSet, tableOffset: number): void {
  if (set.areaSize === 0) return;
  writer.u32(set.nameFilter);
  writer.u32(set.sharedCount);
  writer.u32(0);
  let left = set.sharedCount;
  for (const pair of set.pairs) {
    if (pair.sharedOffset < 0 || left === 0) continue;
    writer.u32((tableOffset + pair.sharedOffset) / 4);
    left -= 1;
  }
  left = set.sharedCount;
  for (const pair of set.pairs) {
    if (pair.sharedOffset >= 0 && left > 0) left -= 1;
    else writeEntry(writer, pair);
  }
}

/** The key under which an overlay above shows `key` as what it is, instead of obeying it. */
export function escapeKey(key: ByteString): ByteString {
  if (!key.startsWith(overlayKey.prefix)) return key;
  return (overlayKey.escapedPrefix + key.slice(overlayKey.prefix.length)) as ByteString;
}

function newPair(key: XattrKey, source: string, form: ValueForm): XattrPair {
  const valueLength = lengthOfValue(source, form);
  if (valueLength > maxValueLength) {
    throw new OsdeployError("limit-exceeded", `Cannot write a root image: an xattr value has ${valueLength} bytes`);
  }
  const entrySize = (xattrEntrySize + key.name.length + valueLength + 3) & ~3;
  return { key, source, form, valueLength, entrySize, uses: 0, sharedOffset: -1 };
}

/** Notes a value, and says whether it was met before: only then it gets a pair that is kept. */
function count(values: OverlayValues, source: string): boolean {
  const before = values.seen.size;
  values.seen.add(source);
  if (values.seen.size > before) return false;
  countAgain(values, source);
  return true;
}

function countAgain(values: OverlayValues, source: string): void {
  const pair = values.repeated.get(source) ?? newPair(values.key, source, values.form);
  pair.uses = 2;
  values.repeated.set(source, pair);
}

function followsDigest({ digest, backingPath }: ExternalContent): boolean {
  return digest !== undefined && backingPath === objectPath(digest);
}

/** Where composefs keeps the object with this digest. */
function objectPath(digest: string): string {
  return `${digest.slice(0, 2)}/${digest.slice(2)}`;
}

function pairOf(values: OverlayValues, source: string): XattrPair {
  return values.repeated.get(source) ?? newPair(values.key, source, values.form);
}

function insertPair(pairs: readonly XattrPair[], pair: XattrPair): XattrPair[] {
  const at = pairs.findLastIndex((other) => compareKeys(other, pair) < 0) + 1;
  return [...pairs.slice(0, at), pair, ...pairs.slice(at)];
}

function compareKeys(a: XattrPair, b: XattrPair): number {
  return compareBytes(a.key.key, b.key.key);
}

/** The order of the shared table: key, then length of the value, then value, each descending. */
function compareDescending(a: XattrPair, b: XattrPair): number {
  return compareKeys(b, a) || b.valueLength - a.valueLength || compareBytes(storedValue(b), storedValue(a));
}

function lengthOfValue(source: string, form: ValueForm): number {
  if (form === "bytes") return source.length;
  if (form === "redirect") return source.length + 1;
  return source === "" ? 0 : 4 + source.length / 2;
}

/** The value as it is stored. */
function storedValue(pair: XattrPair): ByteString {
  const { source, form } = pair;
  if (form === "bytes") return source as ByteString;
  if (form === "redirect") return `/${source}` as ByteString;
  return (metacopyHeader(pair) + fromBytes(fromHex(source))) as ByteString;
}

/**
 * What stands before the digest: version, length, flags and fs-verity's number of the algorithm.
 *
 * @see https://docs.kernel.org/filesystems/overlayfs.html#fs-verity-support
 */
function metacopyHeader(pair: XattrPair): ByteString {
  return (pair.source.length === 64 ? "\x00\x24\x00\x01" : "\x00\x44\x00\x02") as ByteString;
}

function measured(pairs: readonly XattrPair[]): XattrSet {
  if (pairs.length === 0) return { pairs, uses: 0, sharedCount: 0, areaSize: 0, nameFilter: 0 };
  let filter = -1;
  let areaSize = xattrHeaderSize;
  let sharedCount = 0;
  for (const pair of pairs) {
    filter &= ~(1 << pair.key.filterBit);
    if (pair.sharedOffset >= 0 && sharedCount < maxSharedReferences) {
      sharedCount += 1;
      areaSize += 4;
    } else areaSize += pair.entrySize;
  }
  if (areaSize > maxAreaSize) {
    throw new OsdeployError("limit-exceeded", `Cannot write a root image: the xattrs of a file take ${areaSize} bytes`);
  }
  return { pairs, uses: 0, sharedCount, areaSize, nameFilter: filter >>> 0 };
}

function writeEntry(writer: ByteWriter, pair: XattrPair): void {
  const { key } = pair;
  const end = writer.offset + pair.entrySize;
  writer.u8(key.name.length);
  writer.u8(key.index);
  writer.u16(pair.valueLength);
  writer.string(key.name);
  if (pair.form === "bytes") writer.string(pair.source as ByteString);
  else writeOverlayValue(writer, pair);
  // The padding up to a multiple of 4 is zero already.
  writer.offset = end;
}

function writeOverlayValue(writer: ByteWriter, pair: XattrPair): void {
  if (pair.form === "redirect") {
    writer.u8(0x2f);
    writer.string(pair.source as ByteString);
  } else if (pair.source !== "") {
    writer.string(metacopyHeader(pair));
    writer.hex(pair.source);
  }
}
