import type { ChunkedDownload } from "../core/deployment/plan-transfer.ts";
import { bundledRangeLimit } from "../core/oci/bundle-document.ts";
import {
  chooseRanges,
  coveredBytes,
  type FetchRange,
  leastBridgedBytes,
  mostBridgedBytes,
  planPartialPull,
  type RangeCosts,
  worthwhilePart,
} from "../core/oci/plan-partial-pull.ts";
import type { ChunkedTables } from "../core/oci/zstd-chunked-tables.ts";
import type { ChunkedToc } from "../core/oci/zstd-chunked-toc.ts";
import type { ImageSource, ResolvedLayer } from "../image-source/image-source.ts";
import { checkServedParts } from "../image-source/layout-source.ts";
import { tablesRange } from "../repo/chunked-tables.ts";
import { begunBytes } from "../repo/kept-ranges.ts";
import { requestsInFlight } from "./fetch-ranges.ts";
import type { HeldContents } from "./held-contents.ts";
import { layerRequests, smallLayerBytes } from "./partial-pulls.ts";

/** No link is, and an import is slower. */
const fastestLink = Number.POSITIVE_INFINITY;

/** A layer whose table of contents was read, and what is here of it. */
export interface OutlinedLayer {
  readonly layer: ResolvedLayer;
  readonly tables: ChunkedTables;
  readonly toc: ChunkedToc;
  readonly held: Pick<HeldContents, "find" | "isIndexed">;
  /** Bytes of the blob that earlier pulls have left. */
  readonly kept: readonly FetchRange[];
}

/** What is known of where it comes from. */
export interface DownloadLink {
  readonly source: Pick<ImageSource, "bundle" | "describe" | "registry">;
  /** The fewest requests that the layer can get. */
  readonly leastRequests: number;
}

/**
 * Decides what of a layer is fetched, as a pull does, as far as bytes decide: between the fewest gaps that any link bridges, and
 * the most on one of this latency.
 */
export function planDownload(outlined: OutlinedLayer, link: DownloadLink): ChunkedDownload {
  const { held, kept, layer, tables } = outlined;
  const uncovered = (ranges: readonly FetchRange[]) =>
    ranges.reduce((sum, range) => sum + range.lengthBytes - coveredBytes(range, kept), 0);
  const tablesBytes = uncovered([tablesRange(tables)]);
  const bundle = link.source.bundle();
  if (bundle?.parts.has(layer.digest) === true) {
    const ranges = rangesOf(outlined, { bridgedBytes: bundle.bridgedBytes, requests: bundledRangeLimit });
    checkServedParts(link.source, layer, ranges);
    return exactly(tablesBytes + uncovered(ranges), { inParts: true });
  }
  const begun = begunBytes(layer, kept);
  const whole = layer.sizeBytes - begun;
  if (!held.isIndexed || layer.sizeBytes <= smallLayerBytes) return exactly(whole, { inParts: false });
  const frames = rangesOf(outlined, { bridgedBytes: 0, requests: Number.POSITIVE_INFINITY });
  const isWorthIt = (bytes: number) => bytes < (tables.toc.offsetBytes - begun) * worthwhilePart;
  const fewest = chooseRanges(frames, { bridgedBytes: leastBridgedBytes, requests: layerRequests.most });
  if (!isWorthIt(uncovered(fewest))) return exactly(tablesBytes + whole, { inParts: false });
  const latencySeconds = (link.source.registry()?.latencyMs ?? 0) / 1000;
  const [usual = 0, most = 0] = [layerRequests.most, link.leastRequests].map((requests) => {
    // The faster a link is beside its latency, the more bytes are taken to save requests.
    const fastest = { latencySeconds, bytesPerSecond: fastestLink, requestsInFlight };
    return uncovered(chooseRanges(frames, { bridgedBytes: mostBridgedBytes, requests, link: fastest }));
  });
  const mostBytes = tablesBytes + (isWorthIt(Math.max(usual, most)) ? Math.max(usual, most) : whole);
  return { inParts: isWorthIt(usual), leastBytes: tablesBytes + uncovered(frames), mostBytes };
}

/** What of the layer is not here, as a pull asks for it. */
function rangesOf({ held, toc }: OutlinedLayer, costs: RangeCosts): readonly FetchRange[] {
  return planPartialPull(toc, (digest, sizeBytes) => held.find(digest, sizeBytes), costs).ranges;
}

function exactly(bytes: number, { inParts }: Pick<ChunkedDownload, "inParts">): ChunkedDownload {
  return { inParts, leastBytes: bytes, mostBytes: bytes };
}
