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
interface CopyOfImage {
  readonly source: ImageSource;
  readonly image: Pick<ResolvedImage, "manifest">;
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
  copied: CopyOfImage,
  destination: ImageDestination,
): Promise<ImageToSend["companions"]> {
  const registry = copied.source.registry();
  if (copied.request.removeSignatures || registry === undefined) return undefined;
  const places = signaturePlaces(system.linux.files, registry.physical, copied.request.source.environment);
  const found = await find(system, { ...copied, registry, places, mustTell: places.attachments });
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

/**
 * Says what belongs beside an image that goes where nothing of it can, as into a file. Not to know it stops nobody who was not
 * to bring it.
 */
export async function tellLeftBehind(
  system: System,
  { source, image, options }: Pick<CopyOfImage, "source" | "image"> & { readonly options: SourceOptions },
): Promise<SentCompanions> {
  const registry = source.registry();
  if (registry === undefined) return { copied: 0, leftBehind: 0 };
  const { digest } = image.manifest;
  try {
    const places = signaturePlaces(system.linux.files, registry.physical, options.environment);
    const asked = { image, request: { source: options }, registry, places, mustTell: false };
    return tellAll(system, digest, { ...(await find(system, asked)), state: onlyRegistries });
  } catch (error) {
    if (!(error instanceof OsdeployError) || error.code === "interrupted") throw error;
    return tellAll(system, digest, { simple: [], companions: [], untold: error, state: onlyRegistries });
  }
}

const onlyRegistries = "only registries keep them";

/** Warns of what is left behind, and of what nobody told. */
function tellAll(
  system: System,
  digest: ManifestDigest,
  { simple, companions, untold, state }: Belongings & { readonly state: string },
): SentCompanions {
  if (untold !== undefined) {
    const message = `What else refers to ${digest} is left behind: ${untold.message}`;
    system.progress({ kind: "warning", message });
  }
  const count = simple.length + companions.length;
  const signatures = simple.length + companions.filter(isSignature).length;
  if (count > 0) {
    const message = `Left behind ${signatures} signatures and ${count - signatures} other artifacts: ${state}`;
    system.progress({ kind: "warning", message });
  }
  // How much it is that was not told, nobody knows.
  return { copied: 0, leftBehind: count + (untold === undefined ? 0 : 1) };
}

async function find(
  system: System,
  {
    image,
    request,
    registry,
    places,
    mustTell,
  }: Pick<CopyOfImage, "image"> & {
    readonly request: Pick<CopyOfImage["request"], "source">;
    readonly registry: ResolvedRegistry;
    readonly places: SignaturePlaces;
    readonly mustTell: boolean;
  },
): Promise<Belongings> {
  const { digest } = image.manifest;
  const { readAddress: read } = trustOptions(system.linux, { ...request.source, signal: system.signal });
  const name = registry.physical;
  const simple = await findInLookaside(system.linux.files, places.lookaside, { name, digest, read });
  return {
    simple: simple.flatMap((each) => (each.kind === "simple-signing" ? [each.message] : [])),
    ...(await findCompanions(registry, digest, { mustTell })),
  };
}

async function bring(
  system: System,
  { source, image, request, found }: CopyOfImage & { readonly found: Belongings },
  { sent, destination }: { readonly sent: ManifestDigest; readonly destination: ImageDestination },
): Promise<SentCompanions> {
  const { simple, companions } = found;
  const to = destination.registry();
  const { digest } = image.manifest;
  const name = request.destination;
  if (to === undefined) return tellAll(system, digest, { ...found, state: onlyRegistries });
  if (sent !== digest || name.kind !== "registry") {
    return tellAll(system, digest, { ...found, state: `they are about ${digest}, and the copy is another one` });
  }
  const untold = tellAll(system, digest, { simple: [], companions: [], untold: found.untold, state: "" });
  await copyCompanions(companions, source, { destination, to });
  if (simple.length > 0) writeSimple(system, { name, digest, messages: simple }, request.destinationOptions);
  return { copied: simple.length + companions.length, leftBehind: untold.leftBehind };
}

function writeSimple(
  { linux }: System,
  work: Parameters<typeof addToLookaside>[2],
  { environment }: SourceOptions,
): void {
  const { lookasideToWrite } = signaturePlaces(linux.files, work.name, environment);
  addToLookaside(linux.files, lookasideToWrite, work);
}
