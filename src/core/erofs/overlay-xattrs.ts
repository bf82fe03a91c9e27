import type { ByteString } from "../bytes/byte-string.ts";
import { ByteWriter } from "../bytes/byte-writer.ts";
import { digitsOfBits } from "../bytes/hex-words.ts";
import type { ExternalContent } from "../tree/inode.ts";
import { isObjectPath, ObjectContent } from "../tree/object-content.ts";
import { overlayKey, xattrEntrySize, xattrHeaderSize } from "./format.ts";
import type { ObjectDigests } from "./object-digests.ts";
import {
  entrySize,
  lengthOfValue,
  metacopyHeaderSize,
  newKey,
  newPair,
  slash,
  type ValueForm,
  writeEntryHead,
  writeMetacopy,
  type XattrKey,
  type XattrPair,
} from "./xattr-pair.ts";
import { insertPair, measured, writeReferences, writeXattrArea, type XattrSet } from "./xattr-set.ts";

/** The values of one key of overlayfs that were met, and those of them that were met again. */
interface OverlayValues {
  readonly key: XattrKey;
  readonly form: ValueForm;
  readonly seen: Set<string>;
  readonly repeated: Map<string, XattrPair>;
}

/** The xattr area of a file whose digest is its own, and where in it that is, in bytes and as path. */
interface AreaPattern {
  readonly set: XattrSet;
  readonly bytes: Uint8Array;
  readonly digestAt: number;
  readonly pathAt: number;
}

/**
 * The xattrs by which files whose bytes lie outside tell overlayfs where these are and what they measure to.
 *
 * First every such content goes through {@link count}; then the table decides which of {@link repeatedPairs} are shared;
 * then areas can be measured and written.
 */
export class OverlayXattrs {
  readonly #metacopies = overlayValues(overlayKey.metacopy, "metacopy");
  readonly #redirects = overlayValues(overlayKey.redirect, "redirect");
  /** As long as each file lies where its digest says, two have the same path just when they have the same digest. */
  #pathsFollowDigests = true;
  /** Files that follow each other mostly differ in nothing but the digest. */
  #lastSize = { set: undefined as XattrSet | undefined, areaSize: 0 };
  #lastPattern: AreaPattern | undefined;

  /** Notes that a file has the xattrs that tell overlayfs where its bytes are and what they measure to. */
  count(content: ExternalContent): void {
    if (this.#pathsFollowDigests && !followsDigest(content)) this.#countPathsAlone();
    const isRepeated = countValue(this.#metacopies, content.digest ?? "");
    if (this.#pathsFollowDigests) {
      if (isRepeated) countAgain(this.#redirects, redirectOf(content));
    } else if (redirectOf(content) !== "") countValue(this.#redirects, redirectOf(content));
  }

  /** From here on paths are counted for themselves; those so far follow from the digests. */
  #countPathsAlone(): void {
    this.#pathsFollowDigests = false;
    for (const digest of this.#metacopies.seen) this.#redirects.seen.add(new ObjectContent(digest, 0n).backingPath);
  }

  /**
   * Bytes of the xattr area of a file outside, which has `set` and those two. Nothing of them is kept, for nearly every
   * file has its own, and there are many files. Right only when it is decided what is shared.
   */
  areaSize(set: XattrSet, content: ExternalContent): number {
    if (!this.#isOrdinary(set, content)) return this.#setOf(set, content).areaSize;
    return this.#ordinarySize(set, content);
  }

  /**
   * The same for a file whose digest no other file has, and all of whose other xattrs are in the shared table. The length of the
   * digest is the same for all such files.
   */
  areaSizeByDigest(set: XattrSet, { wordLength }: ObjectDigests): number {
    if (this.#lastSize.set !== set) {
      const areaSize = this.#ordinarySize(set, new ObjectContent("0".repeat(8 * wordLength), 0n));
      this.#lastSize = { set, areaSize };
    }
    return this.#lastSize.areaSize;
  }

  #ordinarySize(set: XattrSet, content: ExternalContent): number {
    const redirectLength = lengthOfRedirect(content);
    return (
      Math.max(set.areaSize, xattrHeaderSize) +
      entrySize(this.#metacopies.key, lengthOfValue(content.digest ?? "", "metacopy")) +
      (redirectLength === 0 ? 0 : entrySize(this.#redirects.key, redirectLength + 1))
    );
  }

  /** Writes that area. For `tableOffset`, which has to be the same for all, see {@link writeXattrArea}. */
  writeArea(
    writer: ByteWriter,
    { set, content }: { readonly set: XattrSet; readonly content: ExternalContent },
    tableOffset: number,
  ): void {
    if (!this.#isOrdinary(set, content)) writeXattrArea(writer, this.#setOf(set, content), tableOffset);
    else this.#writeOrdinary(writer, { set, content }, tableOffset);
  }

  /** Writes the area of the file `number` whose digest no other file has; see {@link areaSizeByDigest}. */
  writeAreaByDigest(
    writer: ByteWriter,
    { set, digests, number }: { readonly set: XattrSet; readonly digests: ObjectDigests; readonly number: number },
    tableOffset: number,
  ): void {
    if (this.#lastPattern?.set !== set) this.#lastPattern = this.#newPattern(set, 4 * digests.wordLength, tableOffset);
    writePattern(writer, this.#lastPattern, digests, number);
  }

  /** What the areas of all files with `set` and such a digest have in common: only the digest is not the same. */
  #newPattern(set: XattrSet, digestBytes: number, tableOffset: number): AreaPattern {
    const content = new ObjectContent("0".repeat(2 * digestBytes), 0n);
    const writer = new ByteWriter(this.#ordinarySize(set, content));
    this.#writeOrdinary(writer, { set, content }, tableOffset);
    const { key: redirect } = this.#redirects;
    const redirectAt = writer.bytes.length - entrySize(redirect, 2 * digestBytes + 2);
    const metacopyAt = redirectAt - entrySize(this.#metacopies.key, lengthOfValue(content.digest, "metacopy"));
    return {
      set,
      bytes: writer.bytes,
      digestAt: metacopyAt + xattrEntrySize + this.#metacopies.key.name.length + metacopyHeaderSize,
      pathAt: redirectAt + xattrEntrySize + redirect.name.length + 1,
    };
  }

  #writeOrdinary(
    writer: ByteWriter,
    { set, content }: { readonly set: XattrSet; readonly content: ExternalContent },
    tableOffset: number,
  ): void {
    const { key: metacopy } = this.#metacopies;
    const { key: redirect } = this.#redirects;
    const digest = content.digest ?? "";
    const redirectLength = lengthOfRedirect(content);
    const redirectBit = redirectLength === 0 ? 0 : 1 << redirect.filterBit;
    writer.u32(set.nameFilter & ~(1 << metacopy.filterBit) & ~redirectBit);
    writeReferences(writer, set, tableOffset);
    const end = writeEntryHead(writer, metacopy, lengthOfValue(digest, "metacopy"));
    writeMetacopy(writer, digest);
    writer.offset = end;
    if (redirectLength > 0) this.#writeRedirect(writer, redirectOf(content));
  }

  #writeRedirect(writer: ByteWriter, path: ByteString): void {
    const end = writeEntryHead(writer, this.#redirects.key, path.length + 1);
    writer.u8(slash);
    writer.string(path);
    writer.offset = end;
  }

  /**
   * Whether a file outside is like nearly all: no other has those two xattrs as it has them, and what else it has is in
   * the shared table. Then they come last, metacopy first.
   */
  #isOrdinary(set: XattrSet, content: ExternalContent): boolean {
    if (set.sharedCount < set.pairs.length || this.#metacopies.repeated.has(content.digest ?? "")) return false;
    return this.#pathsFollowDigests || !this.#redirects.repeated.has(redirectOf(content));
  }

  /** What {@link areaSize} and {@link writeArea} need to know, for any file. */
  #setOf(set: XattrSet, content: ExternalContent): XattrSet {
    const pairs = insertPair(set.pairs, pairOf(this.#metacopies, content.digest ?? ""));
    const redirect = redirectOf(content);
    return measured(redirect === "" ? pairs : insertPair(pairs, pairOf(this.#redirects, redirect)));
  }

  /** Those that several files have. */
  *repeatedPairs(): Generator<XattrPair> {
    yield* this.#metacopies.repeated.values();
    yield* this.#redirects.repeated.values();
  }
}

/** Writes the area of one more file, the one with this number. */
function writePattern(writer: ByteWriter, pattern: AreaPattern, digests: ObjectDigests, number: number): void {
  const { words, wordLength } = digests;
  const { view, bytes, offset } = writer;
  const digestAt = offset + pattern.digestAt;
  const pathAt = offset + pattern.pathAt;
  writer.copy(pattern.bytes);
  for (let i = 0; i < wordLength; i++) {
    const word = words[number * wordLength + i] as number;
    view.setUint32(digestAt + 4 * i, word, true);
    view.setInt32(pathAt + 8 * i + 1, digitsOfBits(word & 0xffff), true);
    view.setInt32(pathAt + 8 * i + 5, digitsOfBits(word >>> 16), true);
  }
  // The path has a slash after two digits.
  bytes[pathAt] = bytes[pathAt + 1] as number;
  bytes[pathAt + 1] = bytes[pathAt + 2] as number;
  bytes[pathAt + 2] = slash;
}

function overlayValues(key: string, form: ValueForm): OverlayValues {
  return { key: newKey(key as ByteString), form, seen: new Set(), repeated: new Map() };
}

/** Notes a value, and says whether it was met before: only then it gets a pair that is kept. */
function countValue(values: OverlayValues, source: string): boolean {
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

function followsDigest(content: ExternalContent): boolean {
  if (content instanceof ObjectContent) return true;
  const { digest, backingPath } = content;
  return digest !== undefined && backingPath !== undefined && isObjectPath(backingPath, digest);
}

/** The path that overlayfs is told; empty for none. */
function redirectOf(content: ExternalContent): ByteString {
  return content.backingPath ?? noPath;
}

const noPath = "" as ByteString;

function lengthOfRedirect(content: ExternalContent): number {
  return content instanceof ObjectContent ? content.digest.length + 1 : redirectOf(content).length;
}

function pairOf(values: OverlayValues, source: string): XattrPair {
  return values.repeated.get(source) ?? newPair(values.key, source, values.form);
}
