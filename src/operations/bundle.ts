import { toText } from "../core/bytes/byte-string.ts";
import { sha256Of } from "../core/digest/blob-hasher.ts";
import type { DiffId, LayerDigest, ManifestDigest } from "../core/digest/oci-digest.ts";
import { parseManifestDigest } from "../core/digest/oci-digest.ts";
import { type BundledParts, bundleAnnotation, formatBundleDocument } from "../core/oci/bundle-document.ts";
import { bundleBridgedBytes } from "../core/oci/plan-bundle.ts";
import type { Platform } from "../core/oci/platform.ts";
import type { ImageReference, OciArchiveReference } from "../core/oci/reference.ts";
import { formatRegistryName } from "../core/oci/registry-name.ts";
import { ArchiveDestination, archivePlace } from "../image-source/archive-destination.ts";
import type { ImageSource, ResolvedImage } from "../image-source/image-source.ts";
import { openImageSource, type SourceOptions } from "../image-source/open-image-source.ts";
import type { Path } from "../linux/linux.ts";
import { openRepo } from "../repo/repo.ts";
import { Holders } from "./bundle-holders.ts";
import { type BundledLayer, LayerBundler } from "./bundle-layers.ts";
import { tellLeftBehind } from "./copy-signatures.ts";
import { resolveTrusted } from "./offered-image.ts";
import type { SentCompanions } from "./send-image.ts";
import { checkInterrupted, type System } from "./system.ts";

export interface BundleRequest {
  readonly image: ImageReference;
  readonly platform: Platform;
  readonly source: SourceOptions;
  /** Files with what `status --json` printed on the hosts. */
  readonly hosts: readonly Path[];
  /** Older images that stand for hosts which hold them: references, or names in `repo`. */
  readonly bases: readonly string[];
  /** A repo in which older images may be. */
  readonly repo: Path | undefined;
  /** The file to write. */
  readonly output: Path;
}

export interface BundleResult {
  /** The canonical reference of the image. */
  readonly image: string;
  /** The archive, as a reference. */
  readonly bundle: string;
  readonly manifestDigest: ManifestDigest;
  readonly hosts: number;
  readonly layers: readonly BundledLayer[];
  /** Bytes of layers that are in the bundle. */
  readonly bundledBytes: number;
  /** Bytes of all layers of the image. */
  readonly imageBytes: number;
  readonly archiveBytes: number;
  /** What the source has beside the image. Archives hold none of it, for any tool that reads signatures. */
  readonly companions: SentCompanions;
}

type WrittenBundle = Omit<BundleResult, "companions">;

/** What the tables of layers that hosts hold may have together: those of some dozen releases. */
const heldTableBudgetBytes = 128 * 1024 * 1024;

/**
 * Writes an archive with what every one of some hosts needs to bring an image: its documents, and of its layers what at least
 * one host lacks. The signature policy is asked as for a pull; every digest is compared before the archive gets its name.
 */
export async function bundleImage(system: System, request: BundleRequest): Promise<BundleResult> {
  const { linux, signal } = system;
  archivePlace(linux.files, request.output);
  const source = openImageSource(request.image, linux, { ...request.source, signal });
  try {
    system.progress({ kind: "start", task: "copy", subject: source.describe() });
    system.progress({ kind: "phase", phase: "resolve" });
    const { image } = await resolveTrusted(system, source, request);
    const repo = request.repo && openRepo(linux, request.repo, { access: "read", wait: true });
    try {
      const asked = {
        ...{ ...request, repo, place: source.reference(), image: { source, layers: image.layers } },
        tableBudgetBytes: heldTableBudgetBytes,
      };
      const holders = await Holders.read(system, asked);
      try {
        const companions = await tellLeftBehind(system, { source, image, options: request.source });
        const result = { ...(await writeBundle(system, request, { source, image, holders })), companions };
        system.progress({ kind: "done" });
        return result;
      } finally {
        await holders.close();
      }
    } finally {
      repo?.close();
    }
  } finally {
    await source.close();
  }
}

interface Opened {
  readonly source: ImageSource;
  readonly image: ResolvedImage;
  readonly holders: Holders;
}

async function writeBundle(system: System, request: BundleRequest, opened: Opened): Promise<WrittenBundle> {
  const { source, image, holders } = opened;
  if (image.layers.some(({ diffId }) => isLackedBySome(holders, diffId))) await holders.findImages();
  const tag = nameOf(source.reference());
  const reference: OciArchiveReference = {
    ...{ kind: "oci-archive", path: request.output },
    choice: tag === undefined ? { kind: "only" } : { kind: "tag", tag },
  };
  const destination = new ArchiveDestination(reference, system.linux);
  try {
    const bundler = new LayerBundler(system, { source, image, holders, destination });
    const layers = await bundler.addAll();
    const config = { ...image.config, sizeBytes: image.config.bytes.length, annotations: new Map<string, string>() };
    await destination.putBlob(config, () => once(config.bytes));
    const document = documentOf(layers, bundler);
    if (document !== undefined) await destination.putBlob(document, () => once(document.bytes));
    checkInterrupted(system.signal);
    system.progress({ kind: "phase", phase: "publish" });
    const annotations = document === undefined ? {} : { [bundleAnnotation]: document.digest };
    await destination.commit({ manifest: image.manifest, platform: image.imageConfig.platform, annotations });
    return describe(system, request, { ...opened, layers });
  } finally {
    await destination.close();
  }
}

function isLackedBySome(holders: Holders, diffId: DiffId): boolean {
  return holders.all.some((holder) => !holder.has(diffId));
}

/** What the image is called in the archive: how it is reached otherwise, so that people can see what it was made from. */
function nameOf(reference: ImageReference): string | undefined {
  if (reference.kind === "registry") return formatRegistryName({ ...reference, digest: undefined });
  return "choice" in reference && "tag" in reference.choice ? reference.choice.tag : undefined;
}

/** What the archive leaves out; undefined when that is nothing, and it is an archive like any other. */
function documentOf(layers: readonly BundledLayer[], { parts, countedOn }: LayerBundler) {
  const absent = layers.flatMap(({ digest, kind }) => (kind === "absent" ? [digest] : []));
  if (absent.length === 0 && parts.size === 0) return undefined;
  const bytes = formatBundleDocument({
    ...{ absent: new Set<LayerDigest>(absent), parts: new Map<LayerDigest, BundledParts>(parts) },
    ...{ bridgedBytes: bundleBridgedBytes, countedOn: [...countedOn] },
  });
  const digest = parseManifestDigest(sha256Of(bytes));
  return { mediaType: bundleMediaType, digest, sizeBytes: bytes.length, annotations: new Map<string, string>(), bytes };
}

const bundleMediaType = "application/vnd.osdeploy.bundle.v1+json";

function describe(
  { linux }: System,
  { hosts, bases, output }: BundleRequest,
  { source, image, layers }: Opened & { readonly layers: readonly BundledLayer[] },
): WrittenBundle {
  return {
    image: source.describe(),
    bundle: `oci-archive:${toText(output)}`,
    manifestDigest: image.manifest.digest,
    hosts: hosts.length + bases.length,
    layers,
    bundledBytes: layers.reduce((sum, { bundledBytes }) => sum + bundledBytes, 0),
    imageBytes: layers.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
    archiveBytes: linux.files.lstat(output).sizeBytes,
  };
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
