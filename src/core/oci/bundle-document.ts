import { element } from "../bytes/element.ts";
import { encodeText } from "../bytes/utf8.ts";
import { type DiffId, type LayerDigest, parseDiffId, parseLayerDigest } from "../digest/oci-digest.ts";
import { OsdeployError } from "../errors.ts";
import { parseDocument } from "./json.ts";
import { arrayOf, badPlace, digestOf, type JsonPlace, member, safeSizeOf } from "./json-place.ts";
import type { FetchRange } from "./plan-partial-pull.ts";

/** The annotation of a manifest in a layout's `index.json` that names its bundle document; the value is its digest. */
export const bundleAnnotation = "vnd.osdeploy.bundle";

/** Ranges of all layers together. Each of a bundle's ranges becomes a file for a while where it is used. */
export const bundledRangeLimit = 65_536;
/** Layers that a bundle counts on: those of all deployments of all hosts. */
export const countedLayerLimit = 16_384;
const layerLimit = 1000;
const version = 1;

/** A part of a layer, and where it begins in the blob that holds all of them. */
export interface BundledRange extends FetchRange {
  readonly startBytes: number;
}

/** A layer of which only parts are in the bundle: one blob that holds them, one after the other. */
export interface BundledParts {
  readonly blob: { readonly digest: LayerDigest; readonly sizeBytes: number };
  /** Where in the layer's own blob they lie: rising, none empty, none overlapping. */
  readonly ranges: readonly BundledRange[];
}

/**
 * What is in an archive that was made for hosts which hold older images: which layers it leaves out, which it has in parts,
 * and what it counts on instead.
 *
 * @see docs/reference/formats/bundle.md
 */
export interface BundleDocument {
  /** Layers of the image that are not there at all. */
  readonly absent: ReadonlySet<LayerDigest>;
  readonly parts: ReadonlyMap<LayerDigest, BundledParts>;
  /** Gaps of up to so many bytes were bridged when the ranges were made, and are to be when they are used. */
  readonly bridgedBytes: number;
  /** The layers of older images whose contents, or which themselves, complete the image. */
  readonly countedOn: readonly DiffId[];
}

/** The document as JSON, the same bytes for the same value whatever its order was. */
export function formatBundleDocument(document: BundleDocument): Uint8Array {
  const parts = [...document.parts].sort(([a], [b]) => (a < b ? -1 : 1));
  const text = JSON.stringify({
    version,
    bridgedBytes: document.bridgedBytes,
    absent: [...document.absent].sort(),
    parts: parts.map(([layer, { blob, ranges }]) => ({
      layer,
      blob: blob.digest,
      size: blob.sizeBytes,
      ranges: ranges.flatMap(({ offsetBytes, lengthBytes }) => [offsetBytes, lengthBytes]),
    })),
    countedOn: [...document.countedOn].sort(),
  });
  return encodeText(text);
}

/**
 * Reads a bundle document; `name` names it in errors.
 *
 * @throws OsdeployError `bad-format`; `unsupported` for another version; `limit-exceeded`.
 */
export function parseBundleDocument(bytes: Uint8Array, name: string): BundleDocument {
  const whole = parseDocument(bytes, name);
  const found = member(whole, "version").value;
  if (found !== version) {
    const state = `its bundle document is of version ${String(found).slice(0, 20)}`;
    throw new OsdeployError("unsupported", `Cannot use ${name}: ${state}, and this osdeploy reads ${version}`);
  }
  const parts = arrayOf(member(whole, "parts"), layerLimit).map(parseParts);
  const rangeCount = parts.reduce((sum, [, { ranges }]) => sum + ranges.length, 0);
  if (rangeCount > bundledRangeLimit) throw badPlace(whole, `has more than ${bundledRangeLimit} ranges`);
  return {
    absent: new Set(arrayOf(member(whole, "absent"), layerLimit).map((each) => digestOf(each, parseLayerDigest))),
    parts: new Map(parts),
    bridgedBytes: safeSizeOf(member(whole, "bridgedBytes")),
    countedOn: arrayOf(member(whole, "countedOn"), countedLayerLimit).map((each) => digestOf(each, parseDiffId)),
  };
}

function parseParts(place: JsonPlace): readonly [LayerDigest, BundledParts] {
  const layer = digestOf(member(place, "layer"), parseLayerDigest);
  const sizeBytes = safeSizeOf(member(place, "size"));
  const blob = { digest: digestOf(member(place, "blob"), parseLayerDigest), sizeBytes };
  return [layer, { blob, ranges: parseRanges(member(place, "ranges"), sizeBytes) }];
}

/** Offsets and lengths in turn; together they have to be as long as the blob that holds them. */
function parseRanges(place: JsonPlace, sizeBytes: number): readonly BundledRange[] {
  const numbers = arrayOf(place, 2 * bundledRangeLimit).map(safeSizeOf);
  if (numbers.length % 2 !== 0) throw badPlace(place, "ends in the middle of a range");
  const ranges: BundledRange[] = [];
  let reached = 0;
  let startBytes = 0;
  for (let at = 0; at < numbers.length; at += 2) {
    const range = { offsetBytes: element(numbers, at), lengthBytes: element(numbers, at + 1), startBytes };
    const inOrder = range.lengthBytes > 0 && range.offsetBytes >= reached;
    reached = range.offsetBytes + range.lengthBytes;
    if (!inOrder || !Number.isSafeInteger(reached)) throw badPlace(place, "is not in order");
    startBytes += range.lengthBytes;
    ranges.push(range);
  }
  if (startBytes !== sizeBytes) throw badPlace(place, `has ${startBytes} bytes, and its blob ${sizeBytes}`);
  return ranges;
}

/** The places of parts that lie one after the other in a blob. */
export function placeRanges(ranges: readonly FetchRange[]): readonly BundledRange[] {
  let startBytes = 0;
  return ranges.map((range) => {
    const placed = { ...range, startBytes };
    startBytes += range.lengthBytes;
    return placed;
  });
}

/**
 * Where `range` of a layer lies in the blob that holds the layer's parts, in bytes from its start; undefined when it is not
 * all in one of them.
 */
export function findBundled(ranges: readonly BundledRange[], range: FetchRange): number | undefined {
  let low = 0;
  let high = ranges.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (element(ranges, middle).offsetBytes <= range.offsetBytes) low = middle + 1;
    else high = middle;
  }
  const held = low === 0 ? undefined : element(ranges, low - 1);
  if (held === undefined) return undefined;
  const offset = range.offsetBytes - held.offsetBytes;
  return offset + range.lengthBytes <= held.lengthBytes ? held.startBytes + offset : undefined;
}
