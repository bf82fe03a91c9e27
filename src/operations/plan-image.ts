import { type LayerOffer, planTransfer, type TransferPlan } from "../core/deployment/plan-transfer.ts";
import type { ManifestDigest } from "../core/digest/oci-digest.ts";
import { OsdeployError } from "../core/errors.ts";
import { planPartialPull } from "../core/oci/plan-partial-pull.ts";
import type { Platform } from "../core/oci/platform.ts";
import { formatImageReference, type ImageReference } from "../core/oci/reference.ts";
import { type ChunkedTables, findChunkedTables } from "../core/oci/zstd-chunked-tables.ts";
import type { ChunkedToc } from "../core/oci/zstd-chunked-toc.ts";
import { maxInlineBytes } from "../core/tar/tar-scanner.ts";
import type { ImageSource, ResolvedImage, ResolvedLayer } from "../image-source/image-source.ts";
import { openImageSource, type SourceOptions } from "../image-source/open-image-source.ts";
import type { Path } from "../linux/linux.ts";
import { readToc, tablesRange } from "../repo/chunked-tables.ts";
import { ContentIndex } from "../repo/content-index.ts";
import type { ContentTable } from "../repo/content-table.ts";
import { openRepo, type Repo } from "../repo/repo.ts";
import { findStream, layerStreamName } from "../repo/streams.ts";
import { resolveTrusted } from "./offered-image.ts";
import type { System } from "./system.ts";

export interface PlanImageRequest {
  readonly repo: Path;
  readonly image: ImageReference;
  readonly platform: Platform;
  readonly source: SourceOptions;
}

/** What pulling an image into a repo would cost. */
export interface PlanImageResult extends TransferPlan {
  /** The canonical reference. */
  readonly image: string;
  readonly manifestDigest: ManifestDigest;
  /** What its label `org.opencontainers.image.version` says; null where it has none. */
  readonly version: string | null;
}

/** As a pull merges ranges where it bridges the most. */
const costs = { bridgedBytes: 16 * 1024, requests: 96 } as const;

/**
 * Finds out what a pull would fetch and write, from the image's documents and the tables of contents of its layers, and
 * from what the repo holds. Nothing is written.
 */
export async function planImage(system: System, request: PlanImageRequest): Promise<PlanImageResult> {
  const { linux, signal } = system;
  system.progress({ kind: "start", task: "check", subject: formatImageReference(request.image) });
  const repo = openRepo(linux, request.repo, { access: "read", wait: true });
  const source = openImageSource(request.image, linux, { ...request.source, signal });
  try {
    const { image } = await resolveTrusted(system, source, request);
    const transfer = await readTransfer(repo, source, image);
    system.progress({ kind: "done" });
    return {
      image: formatImageReference(source.reference()),
      manifestDigest: image.manifest.digest,
      version: image.imageConfig.labels.get("org.opencontainers.image.version") ?? null,
      ...transfer,
    };
  } finally {
    await source.close();
    repo.close();
  }
}

/** What bringing these layers into the repo would cost. Fetches no more than tables of contents. */
export async function readTransfer(repo: Repo, source: ImageSource, image: ResolvedImage): Promise<TransferPlan> {
  const { table } = ContentIndex.load(repo);
  const offers: LayerOffer[] = [];
  for (const layer of image.layers) offers.push(await offerOf(repo, { source, layer, table }));
  return planTransfer(offers);
}

interface Offered {
  readonly source: ImageSource;
  readonly layer: ResolvedLayer;
  readonly table: ContentTable | undefined;
}

async function offerOf(repo: Repo, { source, layer, table }: Offered): Promise<LayerOffer> {
  const { digest, sizeBytes } = layer;
  if (findStream(repo, layerStreamName(layer.diffId)) !== undefined) return { kind: "known", digest, sizeBytes };
  const tables = findChunkedTables(layer);
  const toc = tables === undefined ? undefined : await fetchToc(source, layer, tables);
  if (tables === undefined || toc === undefined) return { kind: "whole", digest, sizeBytes };
  const find = (content: string, size: number) => table?.find(content, size);
  const contents = toc.entries
    .filter((entry) => entry.sizeBytes > maxInlineBytes)
    .map((entry) => ({ digest: entry.digest, sizeBytes: entry.sizeBytes, known: isObject(table, entry) }));
  const { fetchBytes } = planPartialPull(toc, find, costs);
  const tablesBytes = tablesRange(tables).lengthBytes;
  // With nothing to compare with, a pull does not try to get parts.
  const missingBytes = table === undefined ? sizeBytes : fetchBytes;
  return { kind: "chunked", digest, sizeBytes, tablesBytes, missingBytes, contents };
}

function isObject(
  table: ContentTable | undefined,
  { digest, sizeBytes }: { readonly digest: string; readonly sizeBytes: number },
): boolean {
  const place = table?.find(digest, sizeBytes)?.place;
  return place?.kind === "object" && place.isWhole;
}

/** Undefined where a pull would take the layer whole: the tables cannot be had, or used. */
async function fetchToc(
  source: ImageSource,
  layer: ResolvedLayer,
  tables: ChunkedTables,
): Promise<ChunkedToc | undefined> {
  const range = tablesRange(tables);
  const bytes = new Uint8Array(range.lengthBytes);
  try {
    let at = 0;
    for await (const piece of source.readBlobRange(layer, range)) {
      bytes.set(piece, at);
      at += piece.length;
    }
    return readToc(tables, bytes);
  } catch (error) {
    if (error instanceof OsdeployError && wholeCodes.has(error.code)) return undefined;
    throw error;
  }
}

const wholeCodes: ReadonlySet<string> = new Set(["unsupported", "bad-format", "limit-exceeded", "digest-mismatch"]);
