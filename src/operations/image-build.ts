import { toBytes } from "../core/bytes/byte-string.ts";
import { type ObjectId, parseObjectId } from "../core/digest/object-id.ts";
import type { DiffId } from "../core/digest/oci-digest.ts";
import { rewriteErofs } from "../core/erofs/rewrite.ts";
import { writeErofs } from "../core/erofs/writer.ts";
import { assert } from "../core/errors.ts";
import { readLayerEntries } from "../core/splitstream/layer-entries.ts";
import type { FileContent, FileTree } from "../core/tree/inode.ts";
import type { LayerEntry } from "../core/tree/layer.ts";
import { readLayerColumns } from "../core/tree/layer-columns.ts";
import { mergeLayers } from "../core/tree/merge-layers.ts";
import { toBootTree, toRawTree } from "../core/tree/root-tree.ts";
import type { ResolvedImage } from "../image-source/image-source.ts";
import { multiBufferHasher } from "../linux/multi-buffer-hasher.ts";
import { ObjectStaging } from "../repo/object-staging.ts";
import type { Publication, StreamName } from "../repo/publish.ts";
import { readObject, unlessDamaged } from "../repo/read-object.ts";
import type { Repo } from "../repo/repo.ts";
import { stageDocument } from "../repo/stage-document.ts";
import { type StagedObjects, stagedPathOf, unpackStaged } from "../repo/staged-objects.ts";
import type { StagingRun } from "../repo/staging-run.ts";
import {
  findStream,
  layerStreamName,
  parseSplitstream,
  readLayer,
  rootImageRefs,
  streamLimitBytes,
} from "../repo/streams.ts";
import type { BroughtLayer } from "./layer-stage.ts";
import { contentLimitBytes } from "./read-content.ts";

/** The root images of one image. */
export interface RootImages {
  readonly raw: ObjectId;
  readonly boot: ObjectId | undefined;
}

/**
 * One image being put together in the staging area: its layers as they come, then its root images and documents. Nothing
 * of it has a name until {@link publication} is published.
 */
export class ImageBuild {
  readonly #repo: Repo;
  readonly #image: ResolvedImage;
  readonly #staging: ObjectStaging;
  /** Of the layers. */
  readonly #objects: StagedObjects[] = [];
  readonly #layers = new Map<DiffId, StreamName>();
  readonly #entries = new Map<DiffId, readonly LayerEntry[]>();
  readonly #documents: StreamName[] = [];

  constructor(repo: Repo, run: StagingRun, image: ResolvedImage) {
    this.#repo = repo;
    this.#image = image;
    this.#staging = new ObjectStaging(repo.files, run.newStagingOptions(), multiBufferHasher(repo.algorithm));
  }

  /** Takes a layer that a thread has imported. Its entries are read at once, while others are still being imported. */
  addLayer({ diffId, stream, objects, columns }: BroughtLayer): void {
    this.#objects.push(objects);
    this.#layers.set(diffId, stream);
    this.#entries.set(diffId, columns === undefined ? this.#readEntries(stream.id) : readLayerColumns(columns));
  }

  /**
   * Reads the layers that the repo has, so that this is done when the others come. One that is damaged is among those
   * that come.
   */
  readKnownLayers(): void {
    for (const { diffId } of this.#image.layers) {
      const isKnown = findStream(this.#repo, layerStreamName(diffId)) !== undefined;
      if (!isKnown || this.#entries.has(diffId)) continue;
      const entries = unlessDamaged(() => readLayer(this.#repo, diffId));
      if (entries !== undefined) this.#entries.set(diffId, entries);
    }
  }

  /** The tree of all layers, those of the repo included; `name` is for errors. To be called once: the entries are not kept. */
  mergeLayers(name: string): FileTree {
    return toRawTree(mergeLayers(this.#takeEntries()), name);
  }

  /** The entries of one layer after the other. Those that were merged can be forgotten: an image has tens of thousands. */
  *#takeEntries(): Generator<readonly LayerEntry[]> {
    const coming = this.#image.layers.map(({ diffId }) => diffId);
    for (let diffId = coming.shift(); diffId !== undefined; diffId = coming.shift()) {
      const entries = this.#entries.get(diffId) ?? readLayer(this.#repo, diffId);
      // An image can have a layer twice.
      if (!coming.includes(diffId)) this.#entries.delete(diffId);
      yield entries;
    }
  }

  /** The tree that boots. To be asked for before anything of the image gets a name: not every image can boot. */
  bootTree(raw: FileTree, name: string): FileTree {
    return toBootTree(raw, (content) => this.#readContent(content), name);
  }

  /** Stages the root image to look at, and the one that boots where there is such a tree. */
  addRootImages(raw: FileTree, boot: FileTree | undefined): RootImages {
    const image = writeErofs(raw, { version: 1 });
    const looked = this.#staging.add(image);
    const booted = boot && rewriteErofs(image, { before: raw, after: boot }, { version: 1 });
    return { raw: looked, boot: booted && this.#staging.add(booted) };
  }

  /** The objects of the layers, which are to be named before the rest is published. */
  layerObjects(): readonly StagedObjects[] {
    return this.#objects;
  }

  /** All else that is to become part of the repo, with the documents that name the root images. */
  publication(rootImages: RootImages): Publication {
    const { raw, boot } = rootImages;
    this.#stageDocuments(rootImages);
    return {
      objects: this.#staging.take(),
      streams: [...this.#layers.values(), ...this.#documents],
      rootImages: boot === undefined ? [raw] : [raw, boot],
    };
  }

  /** The layers that came so far, objects and all. */
  layersAlone(): Publication {
    const objects = this.#objects.flatMap((staged) => [...unpackStaged(staged)]);
    return { objects, streams: [...this.#layers.values()], rootImages: [] };
  }

  #readEntries(id: ObjectId): readonly LayerEntry[] {
    return readLayerEntries(parseSplitstream(this.#repo, id, this.#readObject(id, streamLimitBytes)));
  }

  #readContent(content: FileContent): Uint8Array {
    if (content.kind === "inline") return toBytes(content.bytes);
    assert(content.digest !== undefined, "every external file of a layer has a digest");
    return this.#readObject(parseObjectId(content.digest, this.#repo.algorithm), contentLimitBytes);
  }

  /** From where it was staged by this run, else from the repo. */
  #readObject(id: ObjectId, limitBytes: number): Uint8Array {
    for (const objects of this.#objects) {
      const path = stagedPathOf(objects, id);
      if (path !== undefined) return this.#repo.files.readFile(path, limitBytes);
    }
    return readObject(this.#repo, id, limitBytes);
  }

  #stageDocuments(rootImages: RootImages): void {
    const layers = this.#image.layers.map(({ diffId }): [string, ObjectId] => [diffId, this.#streamOf(diffId)]);
    const configRefs = new Map([...layers, [rootImageRefs[1].raw, rootImages.raw]]);
    if (rootImages.boot !== undefined) configRefs.set(rootImageRefs[1].boot, rootImages.boot);
    const { config, manifest } = this.#image;
    const configStream = this.#stage("config", config, configRefs);
    this.#stage("manifest", manifest, new Map([[`config:${config.digest}`, configStream.id], ...layers]));
  }

  #stage(
    kind: "config" | "manifest",
    { digest, bytes }: ResolvedImage["config"] | ResolvedImage["manifest"],
    refs: ReadonlyMap<string, ObjectId>,
  ): StreamName {
    const stream = stageDocument(this.#staging, { kind, digest, bytes, refs });
    this.#documents.push(stream);
    return stream;
  }

  #streamOf(diffId: DiffId): ObjectId {
    const id = this.#layers.get(diffId)?.id ?? findStream(this.#repo, layerStreamName(diffId));
    assert(id !== undefined, "every layer of the image was imported, or is in the repo");
    return id;
  }
}
