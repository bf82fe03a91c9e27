import type { ObjectId, VerityAlgorithm } from "../core/digest/object-id.ts";
import type { ConfigDigest, DiffId, LayerDigest, ManifestDigest } from "../core/digest/oci-digest.ts";
import { type ErrorCode, OsdeployError, unlessFailing } from "../core/errors.ts";
import { formatImageReference } from "../core/oci/reference.ts";
import type { FileTree } from "../core/tree/inode.ts";
import { checkPromisedDigests, type PromisedDigest } from "../core/trust/promised-digests.ts";
import type { ImageSource, ResolvedImage, ResolvedLayer } from "../image-source/image-source.ts";
import { checkServed } from "../image-source/layout-source.ts";
import type { ImportedLayer } from "../repo/layer-import.ts";
import { type NamingReport, sumReports } from "../repo/name-objects.ts";
import { hasRootImage, openRootImage } from "../repo/object-graph.ts";
import { publish } from "../repo/publish.ts";
import { isSoundObject, unlessDamaged } from "../repo/read-object.ts";
import { checkTag, tagImage } from "../repo/references.ts";
import type { Repo, WritableRepo } from "../repo/repo.ts";
import { StagingRun } from "../repo/staging-run.ts";
import {
  configStreamName,
  findStream,
  manifestStreamName,
  readConfig,
  readManifest,
  rootImageRefs,
} from "../repo/streams.ts";
import { ImageBuild, type RootImages } from "./image-build.ts";
import { importLayers } from "./import-layers.ts";
import { findKnownFiles } from "./known-image.ts";
import { packLayer } from "./layer-stage.ts";
import { brokenLayers, missingLayers } from "./missing-layers.ts";
import { ObjectNaming } from "./object-naming.ts";
import type { OfferedImage, OfferedLayers } from "./offered-image.ts";
import { PartialPulls } from "./partial-pulls.ts";
import { readPromises } from "./sealed-image.ts";
import { checkInterrupted, type System } from "./system.ts";

/** An image that was chosen in its source and is to be brought into a repo. */
export interface ImageToPull extends OfferedImage {
  /** The name that keeps the image in the repo. */
  readonly tag: string;
  /** Whether to make the root image that boots, besides the one to look at. */
  readonly bootable: boolean;
  /** Whether to read all files of the layers that the repo has, and to bring those layers again that are not whole. */
  readonly repair?: boolean;
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
  /** Where the image, or what refers to it, promises digests that were computed here as well, and are the same. */
  readonly sealedBy: readonly string[];
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
  checkTag(tag);
  const { layers: missing, damaged } =
    request.repair === true
      ? brokenLayers(system, repo, image)
      : { layers: missingLayers(repo, image), damaged: new Set<ObjectId>() };
  const layers = describeLayers(image, missing);
  // Asked for while layers come: the answers are a wait of their own, and nobody needs them before there are root images.
  const asked = readPromises(image, request.layers);
  // Where something else fails first, nobody waits for it any more.
  asked.catch(() => undefined);
  system.progress({ kind: "layers", layers });
  const isWhole = missing.length === 0 && !bringsObjects(request.layers);
  const stored = isWhole ? storedRootImages(repo, request) : undefined;
  const check = (promises: readonly PromisedDigest[], made: RootImages) =>
    checkSeals(promises, { image, algorithm: repo.algorithm, made });
  if (stored !== undefined) request.checkTree?.(openRootImage(repo, stored.raw));
  const { rootImages, sealedBy, report } =
    stored === undefined
      ? await importImage(system, repo, { ...request, missing, damaged, asked, check })
      : { rootImages: stored, sealedBy: check(await asked, stored), report: nothingAdded };
  tagImage(repo, tag, image.manifest.digest);
  return {
    manifestDigest: image.manifest.digest,
    configDigest: image.config.digest,
    rawImage: rootImages.raw,
    bootImage: rootImages.boot,
    layers,
    ...report,
    sealedBy,
  };
}

function checkSeals(
  promises: readonly PromisedDigest[],
  {
    image,
    algorithm,
    made,
  }: { readonly image: ResolvedImage; readonly algorithm: VerityAlgorithm; readonly made: RootImages },
): readonly string[] {
  const documents = { manifest: image.manifest.bytes, config: image.config.bytes };
  return checkPromisedDigests(promises, { algorithm, ...made, ...documents });
}

const nothingAdded: NamingReport = { addedObjects: 0, addedBytes: 0, repaired: [] };

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
export function storedRootImages(
  repo: Repo,
  { image, bootable }: Pick<ImageToPull, "image" | "bootable">,
): RootImages | undefined {
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
  /** Where the digests of these were promised. */
  readonly sealedBy: readonly string[];
  readonly report: NamingReport;
}

async function importImage(
  system: System,
  repo: WritableRepo,
  request: ImageToPull & {
    readonly missing: readonly ResolvedLayer[];
    readonly damaged: ReadonlySet<ObjectId>;
    /** What is promised of the image, once the registry has told it. */
    readonly asked: Promise<readonly PromisedDigest[]>;
    readonly check: (promises: readonly PromisedDigest[], made: RootImages) => readonly string[];
  },
): Promise<Imported> {
  const { image, layers, missing, damaged, asked } = request;
  const name = formatImageReference(request.reference);
  const run = layers.kind === "staged" ? layers.run : new StagingRun(repo);
  let naming: ObjectNaming | undefined;
  let isFetched = false;
  try {
    const build = new ImageBuild(repo, run, image);
    const partial =
      layers.kind === "source"
        ? await bringLayers(system, repo, { image, missing, damaged, run, build, source: layers.source, asked })
        : undefined;
    if (layers.kind === "staged") addStaged(system, build, layers.layer);
    const promises = await asked;
    isFetched = true;
    checkInterrupted(system.signal);
    system.progress({ kind: "phase", phase: "merge" });
    naming = new ObjectNaming(system, repo, build.layerObjects());
    const raw = build.mergeLayers(name);
    request.checkTree?.(raw);
    // What the import threads had.
    system.linux.releaseMemory();
    system.progress({ kind: "phase", phase: "root-image" });
    const boot = request.bootable ? build.bootTree(raw, name) : undefined;
    // An image that nothing can refuse any more: its objects get their names while the root images are made.
    const isSealed = promises.length > 0;
    if (!isSealed) naming.begin();
    const rootImages = build.addRootImages(raw, boot);
    const sealedBy = request.check(promises, rootImages);
    system.progress({ kind: "phase", phase: "publish" });
    if (isSealed) naming.begin();
    const report = sumReports([await naming.done(), publish(repo, build.publication(rootImages))]);
    run.dropPartialLayers();
    partial?.keepIndexes();
    return { rootImages, sealedBy, report };
  } catch (error) {
    // What can come right by itself goes on from the bytes that are here. A bad image leaves nothing, and on a full disk
    // nothing may stay.
    if (isFetched ? !isInterrupted(error) : !isPassing(error)) run.dropPartialLayers();
    throw error;
  } finally {
    await naming?.close();
    if (layers.kind === "source") run.close();
  }
}

function addStaged(system: System, build: ImageBuild, layer: ImportedLayer): void {
  build.addLayer(packLayer(layer));
  system.progress({ kind: "layer-finished", digest: layer.diffId });
}

/** What went wrong says nothing about the image, only about those who serve it: the same pull can succeed later. */
const passingCodes: ReadonlySet<ErrorCode> = new Set([
  ...(["network", "interrupted", "unauthorized", "not-found", "digest-mismatch"] as const),
]);

async function bringLayers(
  system: System,
  repo: WritableRepo,
  work: {
    readonly source: ImageSource;
    readonly image: ResolvedImage;
    readonly missing: readonly ResolvedLayer[];
    /** Objects that nothing is to be taken from. */
    readonly damaged?: ReadonlySet<ObjectId>;
    readonly run: StagingRun;
    readonly build: ImageBuild;
    /** What is asked of the registry besides; when it fails, so does the import. */
    readonly asked?: Promise<unknown>;
  },
): Promise<PartialPulls> {
  const { source, missing, damaged = new Set(), run, build, asked } = work;
  checkServed(source, missing);
  const imageLayers = work.image.layers;
  const partial = new PartialPulls(system, repo, { source, run, layers: missing, imageLayers, damaged });
  if (missing.length === 0) return partial;
  system.progress({ kind: "phase", phase: "layers" });
  const imported = new Set<DiffId>();
  const findKnown = () => findKnownFiles(repo, imageLayers);
  const meanwhile = () => build.readKnownLayers();
  try {
    await importLayers(
      system,
      { source, layers: missing, run, partial, findKnown, meanwhile, ...(asked && { asked }) },
      (layer) => {
        build.addLayer(layer);
        imported.add(layer.diffId);
      },
    );
    return partial;
  } catch (error) {
    // Of two errors the one that began it is told.
    if (isPassing(error)) unlessFailing(() => keepImported(repo, { ...work, imported }));
    throw error;
  }
}

/**
 * Brings the layers of an image that the repo lacks, and names nothing: a pull finds them there, and else the next
 * collection of garbage takes them.
 */
export async function bringLayersAlone(
  system: System,
  repo: WritableRepo,
  source: ImageSource,
  image: ResolvedImage,
): Promise<void> {
  const missing = missingLayers(repo, image);
  system.progress({ kind: "layers", layers: describeLayers(image, missing) });
  const run = new StagingRun(repo);
  try {
    const build = new ImageBuild(repo, run, image);
    await bringLayers(system, repo, { source, image, missing, run, build });
    publish(repo, build.layersAlone());
    run.dropPartialLayers();
  } catch (error) {
    // As of a pull: what can come right by itself goes on from the bytes that are here.
    if (!isPassing(error)) run.dropPartialLayers();
    throw error;
  } finally {
    run.close();
  }
}

/** What came whole over the network need not come again. Of an image that is itself bad nothing is kept. */
function keepImported(
  repo: WritableRepo,
  work: {
    readonly missing: readonly ResolvedLayer[];
    readonly run: StagingRun;
    readonly build: ImageBuild;
    readonly imported: ReadonlySet<DiffId>;
  },
): void {
  publish(repo, work.build.layersAlone());
  for (const { diffId, digest } of work.missing) if (work.imported.has(diffId)) work.run.dropFetched(digest);
}

function isPassing(error: unknown): boolean {
  return error instanceof OsdeployError && passingCodes.has(error.code);
}

function isInterrupted(error: unknown): boolean {
  return error instanceof OsdeployError && error.code === "interrupted";
}
