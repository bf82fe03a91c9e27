import { element } from "../bytes/element.ts";
import type { LinkSpeed } from "./link-meter.ts";
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
  /** What was measured of the link; where it is left out, or its bandwidth not known yet, only bytes count. */
  readonly link?: ExpectedLink;
  /** Set where the whole cannot be had, so that parts are worth every price. */
  readonly partsOnly?: true;
}

/** A link, and how it is used. */
export interface ExpectedLink extends LinkSpeed {
  readonly requestsInFlight: number;
}

/** Every second gap is the frame of a file's padding and the next one's header: some hundred bytes. */
export const leastBridgedBytes = 4096;
/** Larger gaps are not worth their bytes on any link: 64 KiB saves few more requests, and costs two hundredths. */
export const mostBridgedBytes = 16 * 1024;

/**
 * Weighs requests against bytes by what was measured of the link: what it could have carried while one of
 * `requestsInFlight` requests waits for its first byte.
 */
export function weighGaps(link: ExpectedLink): number {
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
  const ranges = chooseRanges([...frames.values()], costs);
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

/** Less than this, in seconds, nobody notices, and no measurement of a link is that good. */
const noiseSeconds = 0.1;
/** How far off the time of an import may be, by the machine that it runs on. */
const importNoise = 0.15;
/** Beyond this part of the blob a stream of all of it is as good. To put frames together costs no more than to unpack it. */
export const worthwhilePart = 0.985;

/**
 * What links carry that have a high latency and whose bandwidth is not known yet, because a layer's tables are small. On a
 * slower link parts were worth more requests; but such a layer is small as well.
 */
const usualBytesPerSecond = 10e6;

/**
 * Whether to take `ranges` of a blob rather than all of it. Fewer bytes are better, unless requests that wait for each other
 * make that slower than the whole, by more than what is noise.
 */
export function isWorthParts(
  parts: { readonly requests: number; readonly fetchBytes: number },
  whole: { readonly fetchBytes: number },
  link: ExpectedLink | undefined,
): boolean {
  if (parts.fetchBytes >= whole.fetchBytes * worthwhilePart) return false;
  if (link === undefined) return true;
  const expected = { ...link, bytesPerSecond: link.bytesPerSecond || usualBytesPerSecond };
  const known = (whole.fetchBytes - parts.fetchBytes) / importSpeeds.known;
  const partsImport = parts.fetchBytes / importSpeeds.frames + known;
  const wholeImport = whole.fetchBytes / importSpeeds.whole;
  return (
    expectedSeconds({ ...parts, importSeconds: partsImport }, expected) <=
    expectedSeconds({ ...whole, requests: 1, importSeconds: wholeImport }, expected) +
      noiseSeconds +
      importNoise * wholeImport
  );
}

/**
 * Bytes of a blob that a thread imports in a second: of one that comes whole, of frames that are put together with what is
 * known, and, for what is known, of what it would be in the blob. It is read and digested all the same. `ranges` is what
 * ranges are compared by that hold more or less between their frames. Where from: docs/decisions/0016-partial-pulls.md.
 */
const importSpeeds = { whole: 80e6, frames: 70e6, known: 150e6, ranges: 64e6 } as const;

/** How long requests take that share a link. What they bring is imported as it comes: the slower of the two counts. */
function expectedSeconds(
  work: { readonly requests: number; readonly fetchBytes: number; readonly importSeconds: number },
  { latencySeconds, bytesPerSecond, requestsInFlight }: ExpectedLink,
): number {
  const turns = Math.ceil(work.requests / requestsInFlight);
  return turns * latencySeconds + Math.max(work.fetchBytes / bytesPerSecond, work.importSeconds);
}

/** Fewer requests are worth more bytes where they take no more than this part of the time. */
const worthwhileTime = 0.5;

/** Ranges that hold all `frames`: as the costs say, or fewer where requests take far longer than the bytes between them. */
export function chooseRanges(frames: readonly FramePlace[], costs: RangeCosts): readonly FetchRange[] {
  const { link } = costs;
  const asked = mergeFrames(frames, costs);
  if (link === undefined || link.bytesPerSecond === 0) return asked;
  const secondsOf = (ranges: readonly FetchRange[]) => {
    const fetchBytes = sumLengths(ranges);
    const importSeconds = fetchBytes / importSpeeds.ranges;
    return expectedSeconds({ requests: ranges.length, fetchBytes, importSeconds }, link);
  };
  let best = asked;
  for (let requests = Math.floor(asked.length / 2); requests >= link.requestsInFlight; requests = requests >> 1) {
    const fewer = mergeFrames(frames, { ...costs, requests });
    if (secondsOf(fewer) < secondsOf(best)) best = fewer;
  }
  return secondsOf(best) <= secondsOf(asked) * worthwhileTime - noiseSeconds ? best : asked;
}

/** Ranges that hold all `frames`. Small gaps are bridged; then, until there are few enough ranges, the next smallest. */
export function mergeFrames(frames: readonly FramePlace[], costs: RangeCosts): readonly FetchRange[] {
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

/** How many bytes of `range` lie in any of `others`, which may overlap. */
export function coveredBytes(range: FetchRange, others: readonly FetchRange[]): number {
  const end = range.offsetBytes + range.lengthBytes;
  let reached = range.offsetBytes;
  let covered = 0;
  for (const other of [...others].sort((a, b) => a.offsetBytes - b.offsetBytes)) {
    const from = Math.max(reached, other.offsetBytes);
    const to = Math.min(end, other.offsetBytes + other.lengthBytes);
    covered += Math.max(to - from, 0);
    reached = Math.max(reached, to);
  }
  return covered;
}

function sumLengths(places: readonly FramePlace[]): number {
  return places.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0);
}
