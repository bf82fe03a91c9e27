import { encodeText } from "../core/bytes/utf8.ts";
import { verityDigest } from "../core/digest/fs-verity.ts";
import { digestLength, type ObjectId, parseObjectId } from "../core/digest/object-id.ts";
import type { DiffId } from "../core/digest/oci-digest.ts";
import { sha256Hex } from "../core/digest/sha256-hex.ts";
import { SplitstreamWriter } from "../core/splitstream/splitstream-writer.ts";
import type { ResolvedImage } from "../image-source/image-source.ts";
import { compressZstd } from "../linux/zstd-encoder.ts";
import { hasRootImage } from "../repo/object-graph.ts";
import { resolveTag } from "../repo/references.ts";
import type { Repo } from "../repo/repo.ts";
import { objectPath } from "../repo/repo-paths.ts";
import { configStreamName, findStream, layerStreamName, manifestStreamName, rootImageRefs } from "../repo/streams.ts";
import { type PlannedObject, type PlannedRootImages, planRootImages } from "./planned-images.ts";
import type { PlannedLayer, PlannedLayers } from "./planned-layers.ts";
import type { PlannedTree } from "./planned-tree.ts";
import { storedRootImages } from "./pull-image.ts";

/** What a pull writes into the repo besides the contents of files: splitstreams, documents, root images, and names for them. */
export interface OtherWrites {
  readonly objects: number;
  /** Bytes in them, as they are but for the packing of a few small files; null where layers have no table of contents. */
  readonly bytes: number | null;
  /** Links in `streams/` and `images/`, the tag, and what is written down for later pulls. */
  readonly names: number;
  /** Documents and root images of the image, here or to come, as far as their digests are known. */
  readonly ids: ReadonlySet<ObjectId>;
  /** The root image that boots; undefined where none is made, or its digest is not known. */
  readonly bootImage: ObjectId | undefined;
}

/** What a pull is about, as far as it is known. */
export interface ComingWrites {
  readonly image: ResolvedImage;
  readonly planned: PlannedLayers;
  readonly tree: PlannedTree;
  /** Whether a root image that boots is made, too. */
  readonly bootable: boolean;
  /** The name that keeps the image in the repo. */
  readonly tag: string;
}

/** Counts what a pull writes that is no file of the image. What is in the repo already is not written again. */
export function planOtherWrites(repo: Repo, coming: ComingWrites): OtherWrites {
  const { image, planned, tag, tree } = coming;
  const missing = missingLayers(coming);
  const newTags = resolveTag(repo, tag) === undefined ? 1 : 0;
  const streamNames = [configStreamName(image.config.digest), manifestStreamName(image.manifest.digest)];
  const stored = missing.length === 0 ? storedRootImages(repo, coming) : undefined;
  if (stored !== undefined) {
    const streams = streamNames.flatMap((name) => findStream(repo, name) ?? []);
    const documents = [image.config, image.manifest].map(({ bytes }) => objectId(repo, bytes));
    const images = [stored.raw, ...(stored.boot === undefined ? [] : [stored.boot])];
    const ids = new Set([...documents, ...streams, ...images]);
    return { objects: 0, bytes: 0, names: newTags, ids, bootImage: stored.boot };
  }
  const images = tree.kind === "known" ? planRootImages(repo, tree.tree, coming) : unknownImages(coming);
  const rootImages = [...new Set([images.raw, images.boot ?? images.raw])];
  const objects = [...rootImages, ...planDocuments(repo, image, images)];
  const newStreams = missing.filter(({ diffId }) => !isThere(repo, findStream(repo, layerStreamName(diffId))));
  const fresh = objects.filter(({ id }) => !isThere(repo, id));
  const newNames = [...missing.map(({ diffId }) => layerStreamName(diffId)), ...streamNames];
  const newImages = rootImages.filter(({ id }) => id === undefined || !hasRootImage(repo, id));
  const indexes = missing.filter(({ layer }) => layer.hasIndex).length + planned.measuredLayers;
  return {
    objects: newStreams.length + fresh.length,
    bytes:
      tree.kind === "known"
        ? sumBytes([...newStreams.map(({ layer }) => layer.streamBytes), ...fresh.map(({ sizeBytes }) => sizeBytes)])
        : null,
    names:
      newNames.filter((name) => findStream(repo, name) === undefined).length + newImages.length + newTags + indexes,
    ids: new Set(objects.flatMap(({ id }) => id ?? [])),
    bootImage: images.boot?.id,
  };
}

interface MissingLayer {
  readonly diffId: DiffId;
  readonly layer: PlannedLayer;
}

/** An image can have a layer twice. */
function missingLayers({ image, planned }: ComingWrites): readonly MissingLayer[] {
  const layers = image.layers.flatMap(({ diffId }, at): readonly [DiffId, MissingLayer][] => {
    const layer = planned.layers[at];
    return layer === undefined || layer.offer.kind === "known" ? [] : [[diffId, { diffId, layer }]];
  });
  return [...new Map(layers).values()];
}

/** What is made where nobody knows of what. */
function unknownImages({ bootable }: Pick<ComingWrites, "bootable">): PlannedRootImages {
  const unknown = () => ({ sizeBytes: 0, id: undefined });
  return { raw: unknown(), boot: bootable ? unknown() : undefined };
}

/** Also of one that is damaged: it is repaired, and none more. */
function isThere({ files, path }: Repo, id: ObjectId | undefined): boolean {
  return id !== undefined && files.lstatIfExists(objectPath(path, id)) !== undefined;
}

/** What the stream of a document names. */
interface NamedRef {
  readonly name: string;
  readonly id: ObjectId;
  /** Whether it is not made up, to fill its place. */
  readonly isKnown: boolean;
}

function namedRef({ algorithm }: Repo, name: string, id: ObjectId | undefined): NamedRef {
  if (id !== undefined) return { name, id, isKnown: true };
  const madeUp = sha256Hex(encodeText(name)).repeat(digestLength(algorithm) / 32);
  return { name, id: parseObjectId(madeUp, algorithm), isKnown: false };
}

/** Config and manifest, and the splitstream of each. */
function planDocuments(
  repo: Repo,
  { config, layers, manifest }: ResolvedImage,
  { boot, raw }: PlannedRootImages,
): readonly PlannedObject[] {
  const diffIds = [...new Set(layers.map(({ diffId }) => diffId))];
  const layerRefs = diffIds.map((diffId) => namedRef(repo, diffId, findStream(repo, layerStreamName(diffId))));
  const rawRef = namedRef(repo, rootImageRefs[1].raw, raw.id);
  const bootRef = boot && namedRef(repo, rootImageRefs[1].boot, boot.id);
  const configRefs = [...layerRefs, rawRef, ...(bootRef === undefined ? [] : [bootRef])];
  const configStream = planStream(repo, { kind: "config", ...config }, configRefs);
  const configRef = namedRef(repo, `config:${config.digest}`, configStream.id);
  const manifestStream = planStream(repo, { kind: "manifest", ...manifest }, [configRef, ...layerRefs]);
  const documents = [config, manifest].map(({ bytes }) => ({ sizeBytes: bytes.length, id: objectId(repo, bytes) }));
  return [...documents, configStream, manifestStream];
}

/** A document's stream. Where something that it names is not known, one that has its name is taken for the same. */
function planStream(
  repo: Repo,
  document: { readonly kind: "config" | "manifest"; readonly digest: string; readonly bytes: Uint8Array },
  refs: readonly NamedRef[],
): PlannedObject {
  const { bytes, digest, kind } = document;
  const writer = new SplitstreamWriter(repo.algorithm, kind);
  writer.addObject(objectId(repo, bytes), BigInt(bytes.length));
  for (const { name, id } of refs) writer.addNamedRef(name, id);
  const stream = writer.finish(compressZstd);
  const isKnown = refs.every((ref) => ref.isKnown);
  return { sizeBytes: stream.length, id: isKnown ? objectId(repo, stream) : findStream(repo, `oci-${kind}-${digest}`) };
}

function objectId({ algorithm }: Repo, bytes: Uint8Array): ObjectId {
  return verityDigest(algorithm, bytes);
}

function sumBytes(sizes: readonly number[]): number {
  return sizes.reduce((sum, size) => sum + size, 0);
}
