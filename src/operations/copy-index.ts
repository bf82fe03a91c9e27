import type { ManifestDigest } from "../core/digest/oci-digest.ts";
import type { Descriptor } from "../core/oci/descriptor.ts";
import type { ImageDestination } from "../image-source/image-destination.ts";
import type { ImageSource, ResolvedDocument, ResolvedIndex } from "../image-source/image-source.ts";
import { openImageDestination } from "../image-source/open-image-destination.ts";
import type { CopyImageRequest } from "./copy-request.ts";
import { companionsOf } from "./copy-signatures.ts";
import { checkTrusted } from "./offered-image.ts";
import { type IndexedImage, readWholeIndex, type WholeIndex } from "./read-index.ts";
import { type SentCompanions, writeDigestFile } from "./send-image.ts";
import { sideBySide } from "./side-by-side.ts";
import { checkInterrupted, type System } from "./system.ts";

/** What was copied of an index. */
export interface CopiedIndex {
  readonly kind: "index";
  /** The canonical reference of the source. */
  readonly image: string;
  /** The canonical reference of the destination. */
  readonly destination: string;
  /** Of the index. */
  readonly manifestDigest: ManifestDigest;
  readonly images: readonly IndexedImage[];
  /** Bytes of blobs that were written. */
  readonly sentBytes: number;
  /** What the source has beside the index and its images. */
  readonly companions: SentCompanions;
}

/**
 * Copies an index with all that it names: every platform, attestations and the like, each byte as it is. The signature policy
 * is asked about each of them before anything is sent: what is an attestation are only words of the index, and nobody vouches
 * for it.
 */
export async function copyIndex(
  system: System,
  request: CopyImageRequest,
  { source, index }: { readonly source: ImageSource; readonly index: ResolvedIndex },
): Promise<CopiedIndex> {
  const whole = await readWholeIndex(index);
  const parts = whole.documents.slice(0, -1);
  for (const { digest } of parts) {
    await checkTrusted(system, source, { source: request.source, digest, isPart: true });
  }
  const options = { ...request.destinationOptions, signal: system.signal };
  const destination = await openImageDestination(request.destination, system.linux, options);
  try {
    const companions = await companionsOfAll(system, request, { source, whole, destination });
    const sentBytes = await sendBlobs(system, whole.blobs, { source, destination });
    checkInterrupted(system.signal);
    system.progress({ kind: "phase", phase: "publish" });
    for (const document of parts) await putDocument(destination, document);
    const sent = await companions();
    const { document: manifest } = index;
    await destination.commit({ manifest, platform: { os: "", architecture: "", variant: undefined } });
    if (request.digestFile !== undefined) {
      writeDigestFile(system.linux.files, request.digestFile, manifest.digest);
    }
    const { images } = whole;
    const names = { image: source.describe(), destination: destination.describe(), manifestDigest: manifest.digest };
    return { kind: "index", ...names, images, sentBytes, companions: sent };
  } finally {
    await destination.close();
  }
}

/** Signatures are about an index, about its images, or about both. Gives what brings them. */
async function companionsOfAll(
  system: System,
  request: CopyImageRequest,
  {
    source,
    whole,
    destination,
  }: { readonly source: ImageSource; readonly whole: WholeIndex; readonly destination: ImageDestination },
): Promise<() => Promise<SentCompanions>> {
  const found: (() => Promise<SentCompanions>)[] = [];
  for (const manifest of whole.documents) {
    const bring = await companionsOf(system, { source, image: { manifest }, request }, destination);
    if (bring !== undefined) found.push(() => bring(manifest.digest));
  }
  return async () => {
    const sum = { copied: 0, leftBehind: 0 };
    for (const bring of found) {
      const { copied, leftBehind } = await bring();
      sum.copied += copied;
      sum.leftBehind += leftBehind;
    }
    return sum;
  };
}

/** Gives the bytes that were sent. */
async function sendBlobs(
  system: System,
  blobs: readonly Descriptor[],
  { source, destination }: { readonly source: ImageSource; readonly destination: ImageDestination },
): Promise<number> {
  system.progress({
    kind: "layers",
    layers: blobs.map(({ digest, sizeBytes }) => ({ digest, sizeBytes, known: false })),
  });
  system.progress({ kind: "phase", phase: "layers" });
  let sentBytes = 0;
  await sideBySide(blobs, destination.lanes, async (blob) => {
    checkInterrupted(system.signal);
    const { digest, sizeBytes } = blob;
    system.progress({ kind: "layer-started", digest });
    if (!(await destination.hasBlob(blob))) {
      await destination.putBlob(blob, () => source.openBlob(blob));
      sentBytes += sizeBytes;
    }
    system.progress({ kind: "layer-advanced", digest, bytes: sizeBytes });
    system.progress({ kind: "layer-finished", digest });
  });
  return sentBytes;
}

/** Writes a manifest or index under its digest alone. */
async function putDocument(destination: ImageDestination, document: ResolvedDocument<ManifestDigest>): Promise<void> {
  const registry = destination.registry();
  if (registry !== undefined) {
    await registry.putManifest(document.digest, document);
    return;
  }
  const { mediaType, digest, bytes } = document;
  const blob = { mediaType, digest, sizeBytes: bytes.length, annotations: new Map<string, string>() };
  if (!(await destination.hasBlob(blob))) await destination.putBlob(blob, () => once(bytes));
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
