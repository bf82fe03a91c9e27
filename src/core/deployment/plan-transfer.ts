import type { LayerDigest } from "../digest/oci-digest.ts";

/** The content of a file in a layer that has a table of contents. */
export interface OfferedContent {
  /** Hex of its sha256. */
  readonly digest: string;
  readonly sizeBytes: number;
  /** Whether the repo holds it already. */
  readonly known: boolean;
}

/** A layer of an image as a pull would find it. */
export type LayerOffer = { readonly digest: LayerDigest; readonly sizeBytes: number } & (
  | { readonly kind: "known" }
  /** It has to come whole, and what is in it nobody knows before. */
  | { readonly kind: "whole"; readonly keptBytes: number }
  /** Its table of contents was read. */
  | {
      readonly kind: "chunked";
      readonly download: ChunkedDownload;
      /** The contents that the repo keeps as objects. */
      readonly contents: readonly OfferedContent[];
    }
);

/** What is fetched of a layer with a table of contents. */
export interface ChunkedDownload {
  /** Whether it comes in parts; else whole, for too little of it is here, or it is too small. */
  readonly inParts: boolean;
  /** The tables, as far as a pull asks for them, and the frames that are missing. */
  readonly leastBytes: number;
  /**
   * The same with the gaps between frames that are fetched with them, as many as a pull may bridge: where several layers share the
   * requests of a pull, with the fewest that this one can get.
   */
  readonly mostBytes: number;
}

/** What pulling an image would cost. */
export interface TransferPlan {
  readonly layers: readonly {
    readonly digest: LayerDigest;
    readonly kind: LayerOffer["kind"];
    /** Whether only parts of it are fetched. */
    readonly inParts: boolean;
    readonly sizeBytes: number;
    /** At most so much of it is fetched. */
    readonly downloadBytes: number;
  }[];
  /**
   * The most that is fetched of layers in parts, and of those that come whole, each blob once. A pull that finds the link so slow
   * to answer that parts would take longer than a whole layer takes that, all the same.
   */
  readonly downloadBytes: number;
  /** The least. How many gaps between missing parts are fetched with them depends on the link, and is seen when it is used. */
  readonly leastDownloadBytes: number;
  /** Whether these two differ; else both are exact. */
  readonly isDownloadBound: boolean;
  /**
   * Contents of files that would be new, each an object and an inode, and the bytes in them; of layers whose contents are known.
   * What the repo has only in layers that no index tells of counts as new.
   */
  readonly newObjects: number;
  readonly newBytes: number;
  /** Layers whose contents nobody knows before they are here: what they bring comes on top. */
  readonly uncountedLayers: number;
}

/** Adds up what a pull of these layers would cost. Equal contents are new once. */
export function planTransfer(offers: readonly LayerOffer[]): TransferPlan {
  const unique = [...new Map(offers.map((offer) => [offer.digest, offer])).values()];
  const fresh = new Map<string, number>();
  for (const offer of unique) {
    if (offer.kind !== "chunked") continue;
    for (const { digest, sizeBytes, known } of offer.contents) if (!known) fresh.set(digest, sizeBytes);
  }
  const downloadBytes = sum(unique.map(mostOf));
  const leastDownloadBytes = sum(unique.map(leastOf));
  return {
    layers: offers.map((offer) => ({
      digest: offer.digest,
      kind: offer.kind,
      inParts: offer.kind === "chunked" && offer.download.inParts,
      sizeBytes: offer.sizeBytes,
      downloadBytes: mostOf(offer),
    })),
    downloadBytes,
    leastDownloadBytes,
    isDownloadBound: leastDownloadBytes < downloadBytes,
    newObjects: fresh.size,
    newBytes: sum([...fresh.values()]),
    uncountedLayers: unique.filter(({ kind }) => kind === "whole").length,
  };
}

function mostOf(offer: LayerOffer): number {
  if (offer.kind === "known") return 0;
  return offer.kind === "whole" ? offer.sizeBytes - offer.keptBytes : offer.download.mostBytes;
}

function leastOf(offer: LayerOffer): number {
  return offer.kind === "chunked" ? offer.download.leastBytes : mostOf(offer);
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
