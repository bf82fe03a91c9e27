import type { ObjectId } from "../core/digest/object-id.ts";
import type { ConfigDigest, ManifestDigest } from "../core/digest/oci-digest.ts";
import { OsdeployError } from "../core/errors.ts";
import { formatPlatform } from "../core/oci/platform.ts";
import type { Path } from "../linux/linux.ts";
import { type ImageTag, listTags } from "../repo/references.ts";
import { openRepo, type Repo } from "../repo/repo.ts";
import { readStoredImage } from "./find-image.ts";
import type { System } from "./system.ts";

export interface ListImagesRequest {
  readonly repo: Path;
}

/** One tag. What cannot be read is null, and `problem` says why. */
export interface ListedImage {
  readonly tag: string;
  readonly manifestDigest: ManifestDigest;
  readonly configDigest: ConfigDigest | null;
  /** For example `linux/amd64`. */
  readonly platform: string | null;
  /** The label `org.opencontainers.image.version`. */
  readonly version: string | null;
  readonly created: string | null;
  readonly layers: number | null;
  /** Sum of the layers as the registry has them. */
  readonly sizeBytes: number | null;
  readonly rawImage: ObjectId | null;
  readonly bootImage: ObjectId | null;
  readonly problem: string | null;
}

/** All images that tags name, in the order of the tags. A damaged one is listed too. */
export async function listImages(system: System, request: ListImagesRequest): Promise<readonly ListedImage[]> {
  const repo = openRepo(system.linux, request.repo, { access: "read", wait: true });
  try {
    return listTags(repo).map((tag) => describe(repo, tag));
  } finally {
    repo.close();
  }
}

const unknown = {
  configDigest: null,
  platform: null,
  version: null,
  created: null,
  layers: null,
  sizeBytes: null,
  rawImage: null,
  bootImage: null,
} as const;

function describe(repo: Repo, { tag, manifest: manifestDigest }: ImageTag): ListedImage {
  try {
    const { manifest, config, rawImage, bootImage } = readStoredImage(repo, manifestDigest);
    return {
      tag,
      manifestDigest,
      configDigest: manifest.config.digest,
      platform: formatPlatform(config.platform),
      version: config.labels.get("org.opencontainers.image.version") ?? null,
      created: config.created ?? null,
      layers: manifest.layers.length,
      sizeBytes: manifest.layers.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
      rawImage: rawImage ?? null,
      bootImage: bootImage ?? null,
      problem: null,
    };
  } catch (error) {
    if (!(error instanceof OsdeployError)) throw error;
    return { tag, manifestDigest, ...unknown, problem: error.message };
  }
}
