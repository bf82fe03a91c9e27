import { parseObjectId } from "../core/digest/object-id.ts";
import { rewriteErofs } from "../core/erofs/rewrite.ts";
import { writeErofs } from "../core/erofs/writer.ts";
import { OsdeployError, unlessFailing } from "../core/errors.ts";
import { SplitstreamWriter } from "../core/splitstream/splitstream-writer.ts";
import type { FileContent, FileTree } from "../core/tree/inode.ts";
import { toBootTree } from "../core/tree/root-tree.ts";
import type { ResolvedImage } from "../image-source/image-source.ts";
import { compressZstd } from "../linux/zstd-encoder.ts";
import type { Repo } from "../repo/repo.ts";
import { configStreamName, findStream, manifestStreamName } from "../repo/streams.ts";
import { awaitedDigest } from "./held-contents.ts";
import type { PlannedLayer } from "./planned-layers.ts";
import type { PlannedTree } from "./planned-tree.ts";
import { readContent } from "./read-content.ts";

/** What a pull writes into the repo besides the contents of files: splitstreams, documents, root images, and names for them. */
export interface OtherWrites {
  readonly objects: number;
  /** Bytes in them, as they are but for the packing of a few small files; null where layers have no table of contents. */
  readonly bytes: number | null;
  /** Links in `streams/` and `images/`, the tag, and what is written down for later pulls. */
  readonly names: number;
}

/** What a pull is about, as far as it is known. */
export interface ComingWrites {
  readonly image: ResolvedImage;
  readonly layers: readonly PlannedLayer[];
  readonly tree: PlannedTree;
  /** Whether a root image that boots is made, too. */
  readonly bootable: boolean;
}

/** Counts what a pull writes that is no file of the image. */
export function planOtherWrites(repo: Repo, coming: ComingWrites): OtherWrites {
  const { image, layers, tree, bootable } = coming;
  const { config, manifest } = image;
  const missing = new Map(image.layers.flatMap(({ diffId }, at) => missingLayer(diffId, layers[at])));
  const documents = [
    ...(findStream(repo, configStreamName(config.digest)) === undefined ? [config] : []),
    ...(findStream(repo, manifestStreamName(manifest.digest)) === undefined ? [manifest] : []),
  ];
  if (missing.size + documents.length === 0) return { objects: 0, bytes: 0, names: 1 };
  const images = tree.kind === "unknown" ? undefined : rootImages(repo, tree.tree, bootable);
  const imageCount = images?.length ?? (bootable ? 2 : 1);
  const indexes = [...missing.values()].filter(({ offer }) => offer.kind === "chunked").length;
  const streams = [...missing.values()].reduce((sum, { streamBytes }) => sum + streamBytes, 0);
  const documentBytes = documents.reduce((sum, { bytes }) => sum + bytes.length, 0) + streamBytes(repo, coming);
  return {
    // A document is an object, and its splitstream another one.
    objects: missing.size + 2 * documents.length + imageCount,
    bytes: images === undefined ? null : images.reduce((sum, bytes) => sum + bytes, streams + documentBytes),
    names: missing.size + documents.length + imageCount + 1 + indexes,
  };
}

function missingLayer(
  diffId: string,
  layer: PlannedLayer | undefined,
): readonly (readonly [diffId: string, layer: PlannedLayer])[] {
  return layer === undefined || layer.offer.kind === "known" ? [] : [[diffId, layer]];
}

/** The splitstreams of config and manifest: a document, and names for what belongs to it. */
function streamBytes({ algorithm }: Repo, { image, bootable }: ComingWrites): number {
  const id = (number: number) =>
    parseObjectId(number.toString(16).padStart(algorithm === "sha256" ? 64 : 128, "0"), algorithm);
  const layers = [...new Set(image.layers.map(({ diffId }) => diffId as string))];
  const images = bootable ? ["composefs.image.v1", "composefs.image.boot.v1"] : ["composefs.image.v1"];
  const config = new SplitstreamWriter(algorithm, "config");
  const manifest = new SplitstreamWriter(algorithm, "manifest");
  config.addObject(id(0), BigInt(image.config.bytes.length));
  manifest.addObject(id(0), BigInt(image.manifest.bytes.length));
  for (const [number, name] of [...layers, ...images].entries()) config.addNamedRef(name, id(number + 1));
  for (const [number, name] of [`config:${image.config.digest}`, ...layers].entries()) {
    manifest.addNamedRef(name, id(number + 1));
  }
  return config.finish(compressZstd).length + manifest.finish(compressZstd).length;
}

/** The sizes of the root images. Where nothing is labelled and nothing emptied, both are one. */
function rootImages(repo: Repo, raw: FileTree, bootable: boolean): readonly number[] {
  const rawImage = writeErofs(raw, { version: 1 });
  if (!bootable) return [rawImage.length];
  const boot = bootTree(repo, raw);
  if (boot === undefined) return [rawImage.length, rawImage.length];
  const bootImage = rewriteErofs(rawImage.slice(), { before: raw, after: boot }, { version: 1 });
  return Buffer.compare(rawImage, bootImage) === 0 ? [rawImage.length] : [rawImage.length, bootImage.length];
}

/** Undefined where the image cannot boot, or its labels come from a policy that is not here. */
function bootTree(repo: Repo, raw: FileTree): FileTree | undefined {
  const read = (content: FileContent) => {
    if (awaitedDigest(content) !== undefined)
      throw new OsdeployError("not-found", "Cannot read a policy: it is not here");
    return readContent(repo, content);
  };
  return unlessFailing(() => toBootTree(raw, read));
}
