import { type ByteString, fromText, toText } from "../core/bytes/byte-string.ts";
import type { ObjectId } from "../core/digest/object-id.ts";
import { type ManifestDigest, parseManifestDigest } from "../core/digest/oci-digest.ts";
import { OsdeployError } from "../core/errors.ts";
import type { LinuxFiles, Path } from "../linux/linux.ts";
import { childPath, pathBelow } from "../linux/path.ts";
import { readLinkIfExists, setLink, unlinkIfExists } from "./name-link.ts";
import { ensureDirectory, readDirectoryIfExists } from "./object-listing.ts";
import type { Repo, WritableRepo } from "./repo.ts";
import { imagesPath, ociTagsPath, streamsPath, tagFileName, tagOfFileName } from "./repo-paths.ts";
import { manifestStreamName } from "./streams.ts";
import { isTemporaryName } from "./temporary-name.ts";

/** A name that keeps what it reaches from being collected: a link below `streams/refs/` or `images/refs/`. */
export interface Reference {
  readonly kind: "stream" | "image";
  /** Relative to `streams/refs` or `images/refs`, as bytes on disk. */
  readonly name: ByteString;
  readonly path: Path;
  /** The name in `streams/` or `images/` that it reaches; undefined when it is no link, or reaches elsewhere. */
  readonly target: ByteString | undefined;
}

/** A tag, and the image that it keeps. */
export interface ImageTag {
  readonly tag: string;
  readonly manifest: ManifestDigest;
}

/**
 * Lets `tag` name the image `digest`, whose streams are published, and keeps all of it from being collected. What the tag
 * named before is replaced. Durable when it returns.
 *
 * @throws OsdeployError `not-found` when the repo has no such manifest; `usage` when the tag is no possible name.
 */
export function tagImage(repo: WritableRepo, tag: string, digest: ManifestDigest): void {
  const name = tagFileName(tag);
  const stream = manifestStreamName(digest);
  if (readLinkIfExists(repo.files, pathBelow(streamsPath(repo.path), stream)) === undefined) {
    throw new OsdeployError("not-found", `Cannot tag "${tag}": repo "${toText(repo.path)}" has no manifest ${digest}`);
  }
  ensureDirectory(repo.files, pathBelow(streamsPath(repo.path), "refs"), 0o755);
  ensureDirectory(repo.files, ociTagsPath(repo.path), 0o755);
  setLink(repo, ociTagsPath(repo.path), { name, target: fromText(`../../${stream}`) });
  repo.sync();
}

/** Asks before the work of which a tag is the end. @throws OsdeployError `usage` when it is no possible name. */
export function checkTag(tag: string): void {
  tagFileName(tag);
}

/**
 * Takes a tag away; what only it kept is for the next gc. Durable when it returns.
 *
 * @returns whether there was such a tag.
 */
export function untagImage(repo: WritableRepo, tag: string): boolean {
  const removed = unlinkIfExists(repo.files, childPath(ociTagsPath(repo.path), tagFileName(tag)));
  if (removed) repo.sync();
  return removed;
}

/**
 * Lets the reference `name` keep the root image `id`, which is published, besides what tags and deployments keep. Durable
 * when it returns.
 *
 * @throws OsdeployError `not-found` when the repo has no such root image; `usage` when the name is no possible one.
 */
export function referRootImage(repo: WritableRepo, name: string, id: ObjectId): void {
  const fileName = tagFileName(name);
  if (readLinkIfExists(repo.files, pathBelow(imagesPath(repo.path), id)) === undefined) {
    throw new OsdeployError(
      "not-found",
      `Cannot refer to root image ${id}: repo "${toText(repo.path)}" does not have it`,
    );
  }
  const directory = pathBelow(imagesPath(repo.path), "refs");
  ensureDirectory(repo.files, directory, 0o755);
  setLink(repo, directory, { name: fileName, target: fromText(`../../images/${id}`) });
  repo.sync();
}

/** Takes a reference to a root image away. Durable when it returns. @returns whether there was such a reference. */
export function dropRootImageReference(repo: WritableRepo, name: string): boolean {
  const removed = unlinkIfExists(repo.files, childPath(pathBelow(imagesPath(repo.path), "refs"), tagFileName(name)));
  if (removed) repo.sync();
  return removed;
}

/** All tags of images, in byte order. A link that names no manifest is left out: fsck tells of it. */
export function listTags(repo: Repo): readonly ImageTag[] {
  const tags: ImageTag[] = [];
  for (const name of readDirectoryIfExists(repo.files, ociTagsPath(repo.path))) {
    const manifest = manifestOfLink(readLinkIfExists(repo.files, childPath(ociTagsPath(repo.path), name)));
    if (manifest !== undefined && !isTemporaryName(name)) tags.push({ tag: tagOfFileName(name), manifest });
  }
  return tags;
}

/** The image that `tag` names; undefined when there is no such tag. */
export function resolveTag(repo: Repo, tag: string): ManifestDigest | undefined {
  return manifestOfLink(readLinkIfExists(repo.files, childPath(ociTagsPath(repo.path), tagFileName(tag))));
}

/** Every link below `streams/refs` and `images/refs`, and whatever else lies there, in byte order. */
export function listReferences(repo: Repo): readonly Reference[] {
  return [
    ...referencesBelow(repo.files, { kind: "stream", directory: pathBelow(streamsPath(repo.path), "refs") }),
    ...referencesBelow(repo.files, { kind: "image", directory: pathBelow(imagesPath(repo.path), "refs") }),
  ];
}

/** How people call a reference: a tag by its name, others by their path. */
export function describeReference(reference: Reference): string {
  const { kind, name } = reference;
  if (kind === "stream" && name.startsWith("oci/")) return tagOfFileName(name.slice("oci/".length) as ByteString);
  return `${kind === "stream" ? "streams" : "images"}/refs/${toText(name)}`;
}

function manifestOfLink(target: ByteString | undefined): ManifestDigest | undefined {
  const stream = target?.slice(target.lastIndexOf("/") + 1);
  if (stream === undefined || !stream.startsWith("oci-manifest-")) return undefined;
  try {
    return parseManifestDigest(stream.slice("oci-manifest-".length));
  } catch {
    return undefined;
  }
}

/** Deeper directories were not made by any program that we know; a cycle of bind mounts ends here too. */
const depthLimit = 16;

function referencesBelow(
  files: LinuxFiles,
  place: { readonly kind: Reference["kind"]; readonly directory: Path },
  prefix = "",
  depth = 0,
): readonly Reference[] {
  return readDirectoryIfExists(files, place.directory).flatMap((entry) => {
    const path = childPath(place.directory, entry);
    const name = `${prefix}${entry}` as ByteString;
    const stat = files.lstatIfExists(path);
    // Renamed or untagged since the directory was read.
    if (stat === undefined) return [];
    if (stat.kind === "directory" && depth < depthLimit) {
      return referencesBelow(files, { kind: place.kind, directory: path }, `${name}/`, depth + 1);
    }
    return [{ kind: place.kind, name, path, target: firstLevelName(readLinkIfExists(files, path), depth) }];
  });
}

/** The first-level name that a link `depth` directories below `refs` reaches: it climbs, then names. */
function firstLevelName(link: ByteString | undefined, depth: number): ByteString | undefined {
  if (link === undefined) return undefined;
  const climb = "../".repeat(depth + 1);
  const match = /^(?:\.\.\/(?:streams|images)\/)?([^/]+)$/.exec(link.slice(climb.length));
  const name = match?.[1];
  return link.startsWith(climb) && name !== undefined && name !== ".." && name !== "."
    ? (name as ByteString)
    : undefined;
}
