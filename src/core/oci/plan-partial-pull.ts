import { element } from "../bytes/element.ts";
import type { ChunkedToc, FramePlace, TocEntry } from "./zstd-chunked-toc.ts";

/** Where a part of a file's content comes from. */
export type ContentPiece<Known> =
  | { readonly kind: "known"; readonly sizeBytes: number; readonly digest: string; readonly known: Known }
  | { readonly kind: "zeros"; readonly sizeBytes: number; readonly digest: string }
  | { readonly kind: "frame"; readonly sizeBytes: number; readonly digest: string; readonly frame: FramePlace };

/** Where the content of one entry comes from: one piece that is all of it, or several. Empty for what has none. */
export type ContentPlan<Known> = readonly ContentPiece<Known>[];

/** Some bytes of a blob that are fetched by one request. */
export type FetchRange = FramePlace;

/** How a layer is to come: what is here already, and what of its blob has to be fetched. */
export interface PartialPullPlan<Known> {
  /** One for each entry of the table of contents. */
  readonly contents: readonly ContentPlan<Known>[];
  /** In the order of the blob; they do not overlap. */
  readonly ranges: readonly FetchRange[];
  /** Bytes in `ranges`, those between frames included. */
  readonly fetchBytes: number;
  /** Bytes of the frames that are missing. */
  readonly missingBytes: number;
  /** Bytes of contents that are here. */
  readonly knownBytes: number;
}

/** How requests and bytes weigh against each other, and what a server is to be asked at most. */
export interface RangeCosts {
  /** A gap of up to so many bytes is fetched with what is on its both sides. */
  readonly bridgedBytes: number;
  /** The most requests for this layer. */
  readonly requests: number;
}

/** Every second gap is the frame of a file's padding and the next one's header: some hundred bytes. */
const leastBridgedBytes = 4096;
/** Larger gaps are not worth their bytes on any link: 64 KiB saves few more requests, and costs two hundredths. */
const mostBridgedBytes = 16 * 1024;

/**
 * Weighs requests against bytes by what was measured of the link: what it could have carried while one of
 * `requestsInFlight` requests waits for its first byte.
 */
export function weighGaps(link: {
  readonly latencySeconds: number;
  readonly bytesPerSecond: number;
  readonly requestsInFlight: number;
}): number {
  const bytes = (link.latencySeconds * link.bytesPerSecond) / link.requestsInFlight;
  return Math.min(Math.max(Math.floor(bytes), leastBridgedBytes), mostBridgedBytes);
}

/**
 * Plans how to get a zstd:chunked layer from what is here and as few bytes as make sense.
 *
 * `find` says what holds the content with this sha256 (hex) and size. A file that is not here as a whole may be in parts.
 * Equal missing parts are fetched once. Nothing of it is trusted: contents are digested when they are put together.
 */
export function planPartialPull<Known>(
  toc: ChunkedToc,
  find: (digest: string, sizeBytes: number) => Known | undefined,
  costs: RangeCosts,
): PartialPullPlan<Known> {
  const frames = new Map<string, FramePlace>();
  const contents = toc.entries.map((entry) => planContent(entry, find, frames));
  const ranges = mergeFrames([...frames.values()], costs);
  const known = (sum: number, piece: ContentPiece<Known>) => (piece.kind === "known" ? sum + piece.sizeBytes : sum);
  return {
    contents,
    ranges,
    fetchBytes: sumLengths(ranges),
    missingBytes: sumLengths([...frames.values()]),
    knownBytes: contents.reduce((sum, content) => content.reduce(known, sum), 0),
  };
}

function planContent<Known>(
  { chunks, digest, sizeBytes }: TocEntry,
  find: (digest: string, sizeBytes: number) => Known | undefined,
  frames: Map<string, FramePlace>,
): ContentPlan<Known> {
  if (chunks.length === 0) return [];
  const whole = find(digest, sizeBytes);
  if (whole !== undefined) return [{ kind: "known", sizeBytes, digest, known: whole }];
  return chunks.map((chunk): ContentPiece<Known> => {
    const { digest, sizeBytes } = chunk;
    if (chunk.frame === undefined) return { kind: "zeros", sizeBytes, digest };
    const known = chunks.length === 1 ? undefined : find(digest, sizeBytes);
    if (known !== undefined) return { kind: "known", sizeBytes, digest, known };
    const frame = frames.get(digest) ?? chunk.frame;
    frames.set(digest, frame);
    return { kind: "frame", sizeBytes, digest, frame };
  });
}

/** Ranges that hold all `frames`. Small gaps are bridged; then, until there are few enough ranges, the next smallest. */
function mergeFrames(frames: readonly FramePlace[], costs: RangeCosts): readonly FetchRange[] {
  const sorted = [...frames].sort((a, b) => a.offsetBytes - b.offsetBytes);
  const bridged = bridgeOver(sorted, costs);
  const ranges: { offsetBytes: number; lengthBytes: number }[] = [];
  for (const { offsetBytes, lengthBytes } of sorted) {
    const last = ranges[ranges.length - 1];
    const reached = last === undefined ? 0 : last.offsetBytes + last.lengthBytes;
    if (last === undefined || offsetBytes - reached > bridged) ranges.push({ offsetBytes, lengthBytes });
    else last.lengthBytes = Math.max(last.lengthBytes, offsetBytes + lengthBytes - last.offsetBytes);
  }
  return ranges;
}

/** The largest gap that is to be bridged. */
function bridgeOver(sorted: readonly FramePlace[], { bridgedBytes, requests }: RangeCosts): number {
  const gaps: number[] = [];
  let reached = 0;
  for (const { offsetBytes, lengthBytes } of sorted) {
    if (reached > 0 && offsetBytes - reached > bridgedBytes) gaps.push(offsetBytes - reached);
    reached = Math.max(reached, offsetBytes + lengthBytes);
  }
  if (gaps.length < requests) return bridgedBytes;
  gaps.sort((a, b) => b - a);
  return element(gaps, Math.max(requests - 1, 0));
}

function sumLengths(places: readonly FramePlace[]): number {
  return places.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0);
}
