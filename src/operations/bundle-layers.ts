import type { DiffId, LayerDigest } from "../core/digest/oci-digest.ts";
import type { OsdeployError } from "../core/errors.ts";
import { type BundledParts, bundledRangeLimit, countedLayerLimit } from "../core/oci/bundle-document.ts";
import { planBundledParts } from "../core/oci/plan-bundle.ts";
import { findChunkedTables } from "../core/oci/zstd-chunked-tables.ts";
import type { ImageDestination } from "../image-source/image-destination.ts";
import type { ImageSource, ResolvedImage, ResolvedLayer } from "../image-source/image-source.ts";
import { pathBelow } from "../linux/path.ts";
import { tablesRange } from "../repo/chunked-tables.ts";
import type { Holder, Holders } from "./bundle-holders.ts";
import { fetchParts, type PartsToFetch } from "./bundle-parts.ts";
import { isPartialProblem } from "./partial-stage.ts";
import { fetchToc } from "./plan-image.ts";
import { checkInterrupted, type System } from "./system.ts";

/** A layer of the image, and how much of it is in the bundle. */
export interface BundledLayer {
  readonly digest: LayerDigest;
  readonly diffId: DiffId;
  readonly sizeBytes: number;
  /** Absent: everybody has it. In parts: everybody who lacks it has the rest. */
  readonly kind: "whole" | "parts" | "absent";
  readonly bundledBytes: number;
}

/** A layer this small is taken whole: that is one request as well, and whoever pulls does the same. */
const smallLayerBytes = 64 * 1024;
/** What the tables of layers in parts may have together: half of what a pull takes, so that none is left over there. */
const tableBudgetBytes = 128 * 1024 * 1024;

/** Puts what is wanted of the layers of one image into its bundle, one after the other. */
export class LayerBundler {
  readonly parts = new Map<LayerDigest, BundledParts>();
  readonly countedOn = new Set<DiffId>();
  readonly #system: System;
  readonly #source: ImageSource;
  readonly #image: ResolvedImage;
  readonly #holders: Holders;
  readonly #destination: ImageDestination;
  readonly #advanced = new Map<LayerDigest, number>();
  #tableBudget = tableBudgetBytes;

  constructor(
    system: System,
    work: {
      readonly source: ImageSource;
      readonly image: ResolvedImage;
      readonly holders: Holders;
      readonly destination: ImageDestination;
    },
  ) {
    this.#system = system;
    this.#source = work.source;
    this.#image = work.image;
    this.#holders = work.holders;
    this.#destination = work.destination;
  }

  async addAll(): Promise<readonly BundledLayer[]> {
    const layers = [...new Map(this.#image.layers.map((layer) => [layer.digest, layer])).values()];
    const holders = this.#holders.all;
    const isAbsent = ({ diffId }: ResolvedLayer) => holders.length > 0 && holders.every((each) => each.has(diffId));
    const progress = layers.map((layer) => ({
      ...{ digest: layer.digest, sizeBytes: layer.sizeBytes, known: isAbsent(layer) },
    }));
    this.#system.progress({ kind: "layers", layers: progress });
    this.#system.progress({ kind: "phase", phase: "layers" });
    const bundled: BundledLayer[] = [];
    for (const layer of layers) {
      const { digest, diffId, sizeBytes } = layer;
      const added = isAbsent(layer) ? this.#leaveOut(layer) : await this.#add(layer);
      bundled.push({ digest, diffId, sizeBytes, ...added });
    }
    return bundled;
  }

  #leaveOut({ diffId }: ResolvedLayer): Pick<BundledLayer, "kind" | "bundledBytes"> {
    this.countedOn.add(diffId);
    return { kind: "absent", bundledBytes: 0 };
  }

  async #add(layer: ResolvedLayer): Promise<Pick<BundledLayer, "kind" | "bundledBytes">> {
    checkInterrupted(this.#system.signal);
    this.#system.progress({ kind: "layer-started", digest: layer.digest });
    const parts = await this.#addParts(layer);
    if (parts === undefined) await this.#destination.putBlob(layer, () => this.#counted(layer));
    this.#system.progress({ kind: "layer-finished", digest: layer.digest });
    if (parts === undefined) return { kind: "whole", bundledBytes: layer.sizeBytes };
    this.parts.set(layer.digest, parts);
    return { kind: "parts", bundledBytes: parts.blob.sizeBytes };
  }

  /** Undefined when the layer is better taken whole, or cannot be taken otherwise. */
  async #addParts(layer: ResolvedLayer): Promise<BundledParts | undefined> {
    const lacking = this.#holders.all.filter((each) => !each.has(layer.diffId));
    const tables = findChunkedTables(layer);
    if (lacking.length === 0 || tables === undefined || layer.sizeBytes <= smallLayerBytes) return undefined;
    const tableBytes = tablesRange(tables).lengthBytes;
    const toc = tableBytes > this.#tableBudget ? undefined : await fetchToc(this.#source, layer, tables);
    if (toc === undefined) return undefined;
    const { isHeld, counted } = await this.#heldBy(lacking);
    const ranges = planBundledParts({ toc, tables }, isHeld, this.#rangeLimit());
    if (ranges === undefined || this.countedOn.size + counted.size > countedLayerLimit) return undefined;
    const parts = await this.#putParts(layer, { tables, toc, ranges });
    if (parts === undefined) return undefined;
    this.#tableBudget -= tableBytes;
    for (const diffId of counted) this.countedOn.add(diffId);
    return parts;
  }

  /** Which files all of these holders have, and the layers in which they have them. */
  async #heldBy(
    lacking: readonly Holder[],
  ): Promise<{ readonly isHeld: (digest: string) => boolean; readonly counted: ReadonlySet<DiffId> }> {
    const counted = new Set<DiffId>();
    const contents: (readonly ReadonlySet<string>[])[] = [];
    for (const holder of lacking) {
      const held: ReadonlySet<string>[] = [];
      for (const diffId of holder) {
        const files = await this.#holders.contentsOf(diffId);
        if (files === undefined) continue;
        held.push(files);
        counted.add(diffId);
      }
      contents.push(held);
    }
    return { isHeld: (digest) => contents.every((held) => held.some((files) => files.has(digest))), counted };
  }

  async #putParts(
    layer: ResolvedLayer,
    planned: Pick<PartsToFetch, "tables" | "toc" | "ranges">,
  ): Promise<BundledParts | undefined> {
    const path = pathBelow(this.#destination.scratch, "parts");
    const advance = (bytes: number) => this.#advance(layer, bytes);
    try {
      const parts = await fetchParts(this.#system, { source: this.#source, layer, ...planned, path, advance });
      const blob = { mediaType: "", ...parts.blob, annotations: new Map<string, string>() };
      if (await this.#destination.hasBlob(blob)) this.#system.linux.files.unlink(path);
      else await this.#destination.putFile(blob, path);
      return parts;
    } catch (error) {
      if (!isRefusal(error)) throw error;
      this.#system.linux.files.unlink(path);
      const message = `Layer ${layer.digest} cannot be taken in parts, so it is bundled whole: ${error.message}`;
      this.#system.progress({ kind: "warning", message });
      return undefined;
    }
  }

  /** Each layer has its tables besides, and as many layers are still to come at most. */
  #rangeLimit(): number {
    return Math.floor(bundledRangeLimit / this.#image.layers.length) - 1;
  }

  async *#counted(layer: ResolvedLayer): AsyncGenerator<Uint8Array> {
    let bytes = 0;
    for await (const piece of this.#source.openBlob(layer)) {
      yield piece;
      bytes += piece.length;
      checkInterrupted(this.#system.signal);
      this.#advance(layer, bytes);
    }
  }

  /** What is told never falls, also when a layer has to be fetched once more. */
  #advance({ digest, sizeBytes }: ResolvedLayer, bytes: number): void {
    const advanced = Math.min(bytes, sizeBytes);
    if (advanced <= (this.#advanced.get(digest) ?? 0)) return;
    this.#advanced.set(digest, advanced);
    this.#system.progress({ kind: "layer-advanced", digest, bytes: advanced });
  }
}

/** Whether only the parts are at fault: the whole may still be good. A full disk is no better for it. */
function isRefusal(error: unknown): error is OsdeployError {
  return isPartialProblem(error) && error.code !== "system";
}
