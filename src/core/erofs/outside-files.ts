import { assert } from "../errors.ts";
import { FileRow } from "../tree/file-rows.ts";
import type { ExternalContent, Inode } from "../tree/inode.ts";
import { ObjectContent } from "../tree/object-content.ts";
import { type InodeRecords, outside, outsideWord, recordWords } from "./inode-records.ts";
import { ObjectDigests } from "./object-digests.ts";
import type { OverlayXattrs } from "./overlay-xattrs.ts";

/** The bytes of a file that lie outside; the record of the inode says that they do. */
export function outsideOf(source: Inode): ExternalContent {
  assert(source.kind === "regular", "only a file has bytes outside");
  const { content } = source;
  assert(content.kind === "external", "the record was made of this content");
  return content;
}

/**
 * Finds out which files outside have their digest for themselves, as nearly all have, and says so in their records; the others
 * are counted in `overlay`. Returns the digests, or nothing where content is not named by digests of one length: then all
 * files are counted.
 */
export function countOutside(
  records: InodeRecords,
  sources: readonly Inode[],
  overlay: OverlayXattrs,
): ObjectDigests | undefined {
  const digests = new ObjectDigests(records.count, firstLength(records, sources));
  const { words, count } = records;
  for (let number = 0; number < count; number++) {
    const at = number * recordWords + outsideWord;
    if (words[at] === outside.no) continue;
    const source = sources[number] as Inode;
    const first = setDigest(digests, number, source) ? digests.add(number) : undefined;
    if (first === undefined) {
      countAll(records, sources, overlay);
      return undefined;
    }
    if (first === number) words[at] = outside.byDigest;
    else {
      const firstAt = first * recordWords + outsideWord;
      if (words[firstAt] === outside.byDigest) overlay.count(outsideOf(sources[first] as Inode));
      words[firstAt] = outside.other;
      overlay.count(outsideOf(source));
    }
  }
  return digests;
}

/** Words in the digest of the first file outside. */
function firstLength({ words, count }: InodeRecords, sources: readonly Inode[]): number {
  for (let number = 0; number < count; number++) {
    if (words[number * recordWords + outsideWord] === outside.no) continue;
    return (outsideOf(sources[number] as Inode).digest?.length ?? 0) / 8;
  }
  return 0;
}

function setDigest(digests: ObjectDigests, number: number, source: Inode): boolean {
  if (source instanceof FileRow) return digests.setRow(number, source);
  const content = outsideOf(source);
  return content instanceof ObjectContent && digests.set(number, content.digest);
}

function countAll({ words, count }: InodeRecords, sources: readonly Inode[], overlay: OverlayXattrs): void {
  for (let number = 0; number < count; number++) {
    const at = number * recordWords + outsideWord;
    if (words[at] === outside.no) continue;
    words[at] = outside.other;
    overlay.count(outsideOf(sources[number] as Inode));
  }
}
