import { type FetchRange, mergeFrames } from "./plan-partial-pull.ts";
import type { ChunkedTables } from "./zstd-chunked-tables.ts";
import { skippableHeaderBytes } from "./zstd-chunked-tables.ts";
import type { ChunkedToc, FramePlace } from "./zstd-chunked-toc.ts";

/**
 * Gaps of up to so many bytes are bridged: the frame of a file's padding and the next one's header lies between every two
 * files. Larger gaps cost more than the few numbers that a range takes.
 */
export const bundleBridgedBytes = 1024;
/** Above this part of the blob all of it is taken: it costs little, and everybody can use it. */
const wholePart = 0.98;

/**
 * The parts of a zstd:chunked layer that somebody lacks who holds the files for which `isHeld` (by the hex of their sha256);
 * the last of them are the layer's tables. Undefined when the layer is better taken whole.
 *
 * Of equal missing files the first is taken, as a pull does. Parts of files are not: what one host holds of a missing file,
 * another one may lack, and which of two equal parts a pull takes depends on what else it has.
 */
export function planBundledParts(
  { toc, tables }: { readonly toc: ChunkedToc; readonly tables: ChunkedTables },
  isHeld: (digest: string) => boolean,
  rangeLimit: number,
): readonly FetchRange[] | undefined {
  const frames: FramePlace[] = [];
  const seen = new Set<string>();
  for (const { digest, chunks } of toc.entries) {
    if (chunks.length === 0 || seen.has(digest) || isHeld(digest)) continue;
    seen.add(digest);
    for (const { frame } of chunks) if (frame !== undefined) frames.push(frame);
  }
  const ranges = mergeFrames(frames, { bridgedBytes: bundleBridgedBytes, requests: rangeLimit });
  const sizeBytes = ranges.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0);
  if (sizeBytes > (tables.toc.offsetBytes - skippableHeaderBytes) * wholePart) return undefined;
  const end = tables.tarSplit.offsetBytes + tables.tarSplit.lengthBytes;
  return [...ranges, { offsetBytes: tables.toc.offsetBytes, lengthBytes: end - tables.toc.offsetBytes }];
}
