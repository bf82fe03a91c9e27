import type { ObjectId } from "../core/digest/object-id.ts";
import type { ConfigDigest, DiffId, LayerDigest, ManifestDigest } from "../core/digest/oci-digest.ts";
import { type ErrorCode, OsdeployError } from "../core/errors.ts";
import type { FileTree } from "../core/tree/inode.ts";
import type { ImageSource, ResolvedImage, ResolvedLayer } from "../image-source/image-source.ts";
import type { ImportedLayer } from "../repo/layer-import.ts";
import { hasRootImage, readRootImage } from "../repo/object-graph.ts";
import { type PublishReport, publish } from "../repo/publish.ts";
import { isSoundObject, unlessDamaged } from "../repo/read-object.ts";
import { tagImage } from "../repo/references.ts";
import type { Repo, WritableRepo } from "../repo/repo.ts";
import { StagingRun } from "../repo/staging-run.ts";
import {
  configStreamName,
  findStream,
  layerStreamName,
  manifestStreamName,
  readConfig,
  readManifest,
  rootImageRefs,
} from "../repo/streams.ts";
import { ImageBuild, type RootImages } from "./image-build.ts";
import { importLayers } from "./import-layers.ts";
import { findKnownFiles } from "./known-image.ts";
import type { OfferedImage, OfferedLayers } from "./offered-image.ts";
import { checkInterrupted, type System } from "./system.ts";

/** An image that was chosen in its source and is to be brought into a repo. */
export interface ImageToPull extends OfferedImage {
  /** The name that keeps the image in the repo. */
  readonly tag: string;
  /** Whether to make the root image that boots, besides the one to look at. */
  readonly bootable: boolean;
  /** Refuses an image by throwing, before anything of it is named. */
  readonly checkTree?: (raw: FileTree) => void;
}

/** What a pull brought. */
export interface PulledImage {
  readonly manifestDigest: ManifestDigest;
  readonly configDigest: ConfigDigest;
  readonly rawImage: ObjectId;
  readonly bootImage: ObjectId | undefined;
  readonly layers: readonly PulledLayer[];
  readonly addedObjects: number;
  readonly addedBytes: number;
  /** Objects that the repo held damaged, and that are whole again. */
  readonly repaired: readonly ObjectId[];
}

export interface PulledLayer {
  readonly digest: LayerDigest;
  readonly diffId: DiffId;
  readonly sizeBytes: number;
  /** Whether the repo had it already. */
  readonly known: boolean;
}

/**
 * Brings an image into a repo: missing layers, root images, documents, and last the tag that keeps them.
 *
 * Everything is staged and the image found good before the first part of it gets a name; whatever the repo has already is
 * not touched. A crash leaves nothing that is named and not complete.
 */
export async function pullImage(system: System, repo: WritableRepo, request: ImageToPull): Promise<PulledImage> {
  const { image, tag } = request;
  const missing = missingLayers(repo, image);
  const layers = describeLayers(image, missing);
  system.progress({ kind: "layers", layers });
  const isWhole = missing.length === 0 && !bringsObjects(request.layers);
  const stored = isWhole ? storedRootImages(repo, request) : undefined;
  if (stored !== undefined) request.checkTree?.(readRootImage(repo, stored.raw));
  const { rootImages, report } =
    stored === undefined
      ? await importImage(system, repo, { ...request, missing })
      : { rootImages: stored, report: nothingAdded };
  tagImage(repo, tag, image.manifest.digest);
  return {
    manifestDigest: image.manifest.digest,
    configDigest: image.config.digest,
    rawImage: rootImages.raw,
    bootImage: rootImages.boot,
    layers,
    ...report,
  };
}

const nothingAdded: PublishReport = { addedObjects: 0, addedBytes: 0, repaired: [] };

/** The layers that the repo does not have, or whose splitstream is damaged, each once. */
function missingLayers(repo: Repo, image: ResolvedImage): readonly ResolvedLayer[] {
  const missing = new Map<DiffId, ResolvedLayer>();
  for (const layer of image.layers) {
    const stream = findStream(repo, layerStreamName(layer.diffId));
    if (stream === undefined || !isSoundObject(repo, stream)) missing.set(layer.diffId, layer);
  }
  return [...missing.values()];
}

function describeLayers(image: ResolvedImage, missing: readonly ResolvedLayer[]): readonly PulledLayer[] {
  const lacking = new Set(missing.map(({ diffId }) => diffId));
  return image.layers.map(({ digest, diffId, sizeBytes }) => ({
    digest,
    diffId,
    sizeBytes,
    known: !lacking.has(diffId),
  }));
}

/** Whether something was staged that the repo lacks or has damaged, though it may know the layer. */
function bringsObjects(layers: OfferedLayers): boolean {
  return layers.kind === "staged" && layers.layer.objects.length > 0;
}

/** The root images that the repo made of this very image before; undefined when one that is wanted is not there. */
function storedRootImages(repo: Repo, { image, bootable }: ImageToPull): RootImages | undefined {
  if (findStream(repo, manifestStreamName(image.manifest.digest)) === undefined) return undefined;
  if (findStream(repo, configStreamName(image.config.digest)) === undefined) return undefined;
  const manifest = unlessDamaged(() => readManifest(repo, image.manifest.digest));
  const config = unlessDamaged(() => readConfig(repo, image.config.digest));
  if (manifest === undefined || config === undefined) return undefined;
  // A crash can have left the config without the names of its root images; a machine boots by those names.
  const named = (ref: string) => {
    const id = config.refs.get(ref);
    return id !== undefined && hasRootImage(repo, id) && isSoundObject(repo, id) ? id : undefined;
  };
  const raw = named(rootImageRefs[1].raw);
  const boot = named(rootImageRefs[1].boot);
  return raw === undefined || (bootable && boot === undefined) ? undefined : { raw, boot };
}

interface Imported {
  readonly rootImages: RootImages;
  readonly report: PublishReport;
}

async function importImage(
  system: System,
  repo: WritableRepo,
  request: ImageToPull & { readonly missing: readonly ResolvedLayer[] },
): Promise<Imported> {
  const { image, layers, missing } = request;
  const run = layers.kind === "staged" ? layers.run : new StagingRun(repo);
  try {
    const build = new ImageBuild(repo, run, image);
    if (layers.kind === "source")
      await bringLayers(system, repo, { image, missing, run, build, source: layers.source });
    else addStaged(system, build, layers.layer);
    checkInterrupted(system.signal);
    system.progress({ kind: "phase", phase: "merge" });
    const raw = build.mergeLayers();
    request.checkTree?.(raw);
    system.progress({ kind: "phase", phase: "root-image" });
    const rootImages = build.addRootImages(raw, request);
    system.progress({ kind: "phase", phase: "publish" });
    return { rootImages, report: publish(repo, build.publication(rootImages)) };
  } finally {
    if (layers.kind === "source") run.close();
  }
}

function addStaged(system: System, build: ImageBuild, layer: ImportedLayer): void {
  build.addLayer(layer);
  system.progress({ kind: "layer-finished", digest: layer.diffId });
}

/** What went wrong says nothing about the image: the same pull can succeed later. */
const passingCodes: ReadonlySet<ErrorCode> = new Set(["network", "interrupted", "unauthorized"]);

async function bringLayers(
  system: System,
  repo: WritableRepo,
  work: {
    readonly source: ImageSource;
    readonly image: ResolvedImage;
    readonly missing: readonly ResolvedLayer[];
    readonly run: StagingRun;
    readonly build: ImageBuild;
  },
): Promise<void> {
  const { source, missing, run, build } = work;
  if (missing.length === 0) return;
  system.progress({ kind: "phase", phase: "layers" });
  const findKnown = () => findKnownFiles(repo, work.image.layers);
  const meanwhile = () => build.readKnownLayers();
  try {
    await importLayers(system, { source, layers: missing, run, findKnown, meanwhile }, (layer) =>
      build.addLayer(layer),
    );
  } catch (error) {
    // What came whole over the network need not come again. Of an image that is itself bad nothing is kept.
    if (error instanceof OsdeployError && passingCodes.has(error.code)) publish(repo, build.layersAlone());
    throw error;
  }
}
