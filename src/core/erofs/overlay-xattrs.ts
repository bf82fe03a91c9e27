import type { ByteString } from "../bytes/byte-string.ts";
import type { ByteWriter } from "../bytes/byte-writer.ts";
import type { ExternalContent } from "../tree/inode.ts";
import { isObjectPath, ObjectContent } from "../tree/object-content.ts";
import { overlayKey, xattrHeaderSize } from "./format.ts";
import {
  entrySize,
  lengthOfValue,
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
    const redirectLength = lengthOfRedirect(content);
    return (
      Math.max(set.areaSize, xattrHeaderSize) +
      entrySize(this.#metacopies.key, lengthOfValue(content.digest ?? "", "metacopy")) +
      (redirectLength === 0 ? 0 : entrySize(this.#redirects.key, redirectLength + 1))
    );
  }

  /** Writes that area. For `tableOffset` see {@link writeXattrArea}. */
  writeArea(
    writer: ByteWriter,
    { set, content }: { readonly set: XattrSet; readonly content: ExternalContent },
    tableOffset: number,
  ): void {
    if (!this.#isOrdinary(set, content)) {
      writeXattrArea(writer, this.#setOf(set, content), tableOffset);
      return;
    }
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
    if (redirectLength > 0) writer.offset = this.#writeRedirect(writer, content, redirectLength);
  }

  /** Returns where the entry ends. */
  #writeRedirect(writer: ByteWriter, content: ExternalContent, length: number): number {
    const end = writeEntryHead(writer, this.#redirects.key, length + 1);
    writer.u8(slash);
    if (content instanceof ObjectContent) {
      const { digest } = content;
      writer.string(digest.slice(0, 2) as ByteString);
      writer.u8(slash);
      writer.string(digest.slice(2) as ByteString);
    } else writer.string(redirectOf(content));
    return end;
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
