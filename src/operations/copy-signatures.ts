import type { ManifestDigest } from "../core/digest/oci-digest.ts";
import { OsdeployError } from "../core/errors.ts";
import type { ImageReference } from "../core/oci/reference.ts";
import type { ImageDestination } from "../image-source/image-destination.ts";
import type { ImageSource, ResolvedImage, ResolvedRegistry } from "../image-source/image-source.ts";
import { addToLookaside, findInLookaside } from "../image-source/lookaside.ts";
import { type SourceOptions, trustOptions } from "../image-source/open-image-source.ts";
import { type SignaturePlaces, signaturePlaces } from "../image-source/signature-places.ts";
import { copyCompanions, type FoundCompanions, findCompanions, isSignature } from "./image-companions.ts";
import type { ImageToSend, SentCompanions } from "./send-image.ts";
import type { System } from "./system.ts";

/** A copy of an image that comes from a registry. */
export interface CopiedImage {
  readonly source: ImageSource;
  readonly image: ResolvedImage;
  readonly request: {
    readonly source: SourceOptions;
    readonly destination: ImageReference;
    readonly destinationOptions: SourceOptions;
    readonly removeSignatures: boolean;
  };
}

/**
 * How what belongs beside the image gets to its copy; undefined where nothing does, or nothing is to.
 *
 * @throws OsdeployError `unsupported` where the destination cannot hold signatures, before anything is sent.
 */
export async function companionsOf(
  system: System,
  copied: CopiedImage,
  destination: ImageDestination,
): Promise<ImageToSend["companions"]> {
  const registry = copied.source.registry();
  if (copied.request.removeSignatures || registry === undefined) return undefined;
  const places = signaturePlaces(system.linux.files, registry.physical, copied.request.source.environment);
  const found = await find(system, { ...copied, registry, places });
  const isWanted = found.simple.length > 0 || (places.attachments && found.companions.some(isSignature));
  if (destination.registry() === undefined && isWanted) {
    const { source } = copied;
    const text = `Cannot copy the signatures of ${source.describe()} to ${destination.describe()}: only registries keep them`;
    throw new OsdeployError("unsupported", text, { facts: { hint: "Leave them behind with --remove-signatures" } });
  }
  return (sent) => bring(system, { ...copied, found }, { sent, destination });
}

/** What belongs to an image: simple signatures, and what its registry keeps beside it. */
interface Belongings extends FoundCompanions {
  readonly simple: readonly Uint8Array[];
}

async function find(
  system: System,
  {
    image,
    request,
    registry,
    places,
  }: CopiedImage & { readonly registry: ResolvedRegistry; readonly places: SignaturePlaces },
): Promise<Belongings> {
  const { digest } = image.manifest;
  const { readAddress: read } = trustOptions(system.linux, { ...request.source, signal: system.signal });
  const name = registry.physical;
  const simple = await findInLookaside(system.linux.files, places.lookaside, { name, digest, read });
  return {
    simple: simple.flatMap((each) => (each.kind === "simple-signing" ? [each.message] : [])),
    ...(await findCompanions(registry, digest, { mustTell: places.attachments })),
  };
}

async function bring(
  system: System,
  { source, image, request, found }: CopiedImage & { readonly found: Belongings },
  { sent, destination }: { readonly sent: ManifestDigest; readonly destination: ImageDestination },
): Promise<SentCompanions> {
  const { simple, companions, untold } = found;
  const count = simple.length + companions.length;
  // How much it is, nobody knows.
  const unknown = untold === undefined ? 0 : 1;
  if (untold !== undefined) {
    const message = `What else refers to ${image.manifest.digest} is left behind: ${untold.message}`;
    system.progress({ kind: "warning", message });
  }
  if (count === 0) return { copied: 0, leftBehind: unknown };
  const to = destination.registry();
  const { digest } = image.manifest;
  const name = request.destination;
  if (to !== undefined && sent === digest && name.kind === "registry") {
    await copyCompanions(companions, source, { destination, to });
    if (simple.length > 0) writeSimple(system, { name, digest, messages: simple }, request.destinationOptions);
    return { copied: count, leftBehind: unknown };
  }
  const signatures = simple.length + companions.filter(isSignature).length;
  const state =
    to === undefined ? "only registries keep them" : `they are about ${digest}, and the copy is another one`;
  const message = `Left behind ${signatures} signatures and ${count - signatures} other artifacts: ${state}`;
  system.progress({ kind: "warning", message });
  return { copied: 0, leftBehind: count + unknown };
}

function writeSimple(
  { linux }: System,
  work: Parameters<typeof addToLookaside>[2],
  { environment }: SourceOptions,
): void {
  const { lookasideToWrite } = signaturePlaces(linux.files, work.name, environment);
  addToLookaside(linux.files, lookasideToWrite, work);
}
