import { OsdeployError } from "../errors.ts";
import type { ImageIndex, IndexEntry } from "./image-index.ts";
import { documentKind } from "./media-type.ts";
import { formatPlatform, type Platform, platformRank } from "./platform.ts";
import type { ImageChoice } from "./reference.ts";

/** The annotation that gives an image in a layout its tag. */
const refNameKey = "org.opencontainers.image.ref.name";

/** What says of an entry that its layers are zstd; podman writes it besides an image with gzip for the same platform. */
const zstdKey = "io.github.containers.compression.zstd";

/** What docker calls an image besides: in what it saves, all images with one tag have the same tag, whatever their names are. */
const imageNameKey = "io.containerd.image.name";

/** How many tags or platforms an error message lists. */
const listLimit = 20;

/**
 * The entries of a layout's `index.json` that `choice` means: one manifest, or several that only their platforms tell
 * apart ({@link chooseTheImage}).
 *
 * @throws OsdeployError `not-found` for a tag, position or digest that is not there; `usage` when several images are
 * there and nothing says which: to take the first, as some tools do, would deploy whatever was copied in first.
 */
export function chooseInLayout(index: ImageIndex, choice: ImageChoice, layout: string): readonly IndexEntry[] {
  const { entries } = index;
  switch (choice.kind) {
    case "only":
      return theOnlyImage(entries, layout);
    case "tag":
      return checkFound(
        entries.filter((entry) => tagOf(entry) === choice.tag),
        `tag ${choice.tag}`,
        { entries, layout },
      );
    case "digest":
      // An image with two tags stands there twice.
      return checkFound(entries.filter((entry) => entry.digest === choice.digest).slice(0, 1), choice.digest, {
        entries,
        layout,
      });
    case "position":
      return checkFound(entries.slice(choice.position, choice.position + 1), `image @${choice.position}`, {
        entries,
        layout,
      });
  }
}

/**
 * Where to go on from an index, best first: one manifest, or further indexes to be searched in order, or nothing. Of one
 * image in two compressions zstd is taken: it is smaller, and parts of it can be fetched.
 *
 * Attestations and other things that builders attach are no images. An entry without a platform is taken when it is the
 * only such one and nothing else is there.
 */
export function chooseForPlatform(entries: readonly IndexEntry[], wanted: Platform): readonly IndexEntry[] {
  const { best, indexes, silent } = sorted(entries, wanted);
  if (best.length > 0) return best.slice(0, 1);
  if (indexes.length > 0) return indexes;
  return silent.length === 1 ? silent : [];
}

/**
 * Where to go on from what {@link chooseInLayout} found: as {@link chooseForPlatform}, but nothing is first among equals. In
 * an index that is what its author says; in a layout it is what was copied in first.
 *
 * @throws OsdeployError `usage` when several images are left.
 */
export function chooseTheImage(
  entries: readonly IndexEntry[],
  wanted: Platform,
  layout: string,
): readonly IndexEntry[] {
  if (entries.length === 1) return entries;
  const { best, indexes, silent } = sorted(entries, wanted);
  const found = best.length + indexes.length > 0 ? [...best, ...indexes] : silent;
  const images = [...new Map(found.map((entry) => [entry.digest, entry])).values()];
  if (images.length <= 1) return images;
  const there = images.slice(0, listLimit).map(describe).join(", ");
  const state = `it holds several for ${formatPlatform(wanted)}; write the digest of one behind its path: ${there}`;
  throw new OsdeployError("usage", `Cannot choose an image in ${layout}: ${state}`);
}

function describe(entry: IndexEntry): string {
  const name = entry.annotations.get(imageNameKey);
  return name === undefined ? `@${entry.digest}` : `@${entry.digest} (${list([name])})`;
}

/** The images among `entries`: the best for `wanted`, further indexes, and those that do not say what they are for. */
function sorted(
  entries: readonly IndexEntry[],
  wanted: Platform,
): { readonly [kind in "best" | "indexes" | "silent"]: readonly IndexEntry[] } {
  const images = entries.filter((entry) => !isAttachment(entry));
  const manifests = images.filter((entry) => documentKind(entry.mediaType) === "manifest");
  return {
    best: bestOf(manifests, wanted),
    indexes: images.filter((entry) => documentKind(entry.mediaType) === "index"),
    silent: manifests.filter((entry) => entry.platform === undefined),
  };
}

/** The error that none of `entries` is for `wanted`; it says what there is, also of images that do not say what they are for. */
export function nothingForPlatform(entries: readonly IndexEntry[], wanted: Platform, document: string): OsdeployError {
  const images = entries.filter((entry) => !isAttachment(entry));
  const platforms = images.flatMap((entry) => (entry.platform === undefined ? [] : formatPlatform(entry.platform)));
  const { silent } = sorted(entries, wanted);
  const named = platforms.length === 0 ? [] : [list([...new Set(platforms)])];
  const unnamed =
    silent.length < 2 ? [] : [`${silent.length} that name no platform: one of them can be had by its digest`];
  const there = named.length + unnamed.length === 0 ? "" : `; it has ${[...named, ...unnamed].join(", and ")}`;
  return new OsdeployError(
    "not-found",
    `Cannot use ${document}: it has no image for ${formatPlatform(wanted)}${there}`,
  );
}

/** Whether this entry is about an image, not one: what BuildKit adds to every build, and referrers. */
export function isAttachment(entry: IndexEntry): boolean {
  const { platform, annotations } = entry;
  const isUnknown = platform?.os === "unknown" && platform.architecture === "unknown";
  const isArtifact = entry.artifactType !== undefined && documentKind(entry.artifactType) === undefined;
  return isUnknown || isArtifact || annotations.has("vnd.docker.reference.type");
}

function theOnlyImage(entries: readonly IndexEntry[], layout: string): readonly IndexEntry[] {
  const images = entries.filter((entry) => !isAttachment(entry));
  const [first] = entries;
  if (images.length === 0 && first !== undefined) {
    const state = `all it holds says that it is none; write a digest behind its path to take it nevertheless: @${first.digest}`;
    throw new OsdeployError("not-found", `Cannot find image in ${layout}: ${state}`);
  }
  // Builders write one image with two tags as two entries.
  if (new Set(images.map((entry) => entry.digest)).size === 1) return images.slice(0, 1);
  const tags = tagsOf(images);
  if (tags.length > 1) {
    throw new OsdeployError(
      "usage",
      `Cannot choose an image in ${layout}: it holds several; write one of the tags after it: ${list(tags)}`,
    );
  }
  // Without any tag the layout is one image for several platforms, or one image with attached signatures. With one, the
  // others are what is attached, or what had this tag before.
  const [only] = tags;
  return checkFound(
    images.filter((entry) => tagOf(entry) === only),
    "image",
    { entries, layout },
  );
}

function checkFound(
  chosen: readonly IndexEntry[],
  what: string,
  from: { readonly entries: readonly IndexEntry[]; readonly layout: string },
): readonly IndexEntry[] {
  if (chosen.length > 0) return chosen;
  const tags = tagsOf(from.entries);
  const there = tags.length === 0 ? "" : `; it has the tags ${list(tags)}`;
  throw new OsdeployError("not-found", `Cannot find ${what} in ${from.layout}${there}`);
}

/** Those of the best platform; of equal ones zstd before gzip, as in containers/image. */
function bestOf(manifests: readonly IndexEntry[], wanted: Platform): readonly IndexEntry[] {
  const ranked = manifests.flatMap((entry) => {
    const platform = entry.platform === undefined ? undefined : platformRank(entry.platform, wanted);
    return platform === undefined ? [] : [{ entry, rank: 2 * platform + (isZstd(entry) ? 0 : 1) }];
  });
  const best = Math.min(...ranked.map(({ rank }) => rank));
  return ranked.flatMap(({ entry, rank }) => (rank === best ? [entry] : []));
}

function isZstd(entry: IndexEntry): boolean {
  return entry.annotations.get(zstdKey) === "true";
}

function tagOf(entry: IndexEntry): string | undefined {
  return entry.annotations.get(refNameKey);
}

function tagsOf(entries: readonly IndexEntry[]): readonly string[] {
  return [...new Set(entries.flatMap((entry) => tagOf(entry) ?? []))];
}

/** The layout's author chooses these texts; quoted and cut they do a terminal no harm. */
function list(texts: readonly string[]): string {
  const shown = texts.slice(0, listLimit).map((text) => JSON.stringify(text.slice(0, 80)));
  return shown.join(", ") + (texts.length > listLimit ? " and more" : "");
}
