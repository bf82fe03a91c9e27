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
  | { readonly kind: "whole" }
  /** Its table of contents was read. */
  | {
      readonly kind: "chunked";
      readonly tablesBytes: number;
      /** What of its blob is missing here, besides the tables, and the gaps that are fetched with it. */
      readonly missingBytes: number;
      /** The contents that the repo keeps as objects. */
      readonly contents: readonly OfferedContent[];
    }
);

/** What pulling an image would cost. */
export interface TransferPlan {
  readonly layers: readonly {
    readonly digest: LayerDigest;
    readonly kind: LayerOffer["kind"];
    readonly sizeBytes: number;
    /** At most so much of it is fetched. */
    readonly downloadBytes: number;
  }[];
  /** Exact where no layer comes in parts; else a pull fetches a little less, for it bridges fewer gaps. */
  readonly downloadBytes: number;
  readonly isDownloadBound: boolean;
  /** Objects that would be new, each an inode, and the bytes in them; of layers whose contents are known. */
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
  return {
    layers: offers.map((offer) => {
      const { digest, kind, sizeBytes } = offer;
      return { digest, kind, sizeBytes, downloadBytes: downloadOf(offer) };
    }),
    downloadBytes: sum(unique.map(downloadOf)),
    isDownloadBound: unique.some((offer) => offer.kind === "chunked" && downloadOf(offer) < offer.sizeBytes),
    newObjects: fresh.size,
    newBytes: sum([...fresh.values()]),
    uncountedLayers: unique.filter(({ kind }) => kind === "whole").length,
  };
}

function downloadOf(offer: LayerOffer): number {
  if (offer.kind === "known") return 0;
  if (offer.kind === "whole") return offer.sizeBytes;
  return Math.min(offer.sizeBytes, offer.tablesBytes + offer.missingBytes);
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
