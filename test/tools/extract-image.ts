import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { basename, dirname, join } from "node:path";

interface Descriptor {
  readonly digest: string;
  readonly annotations?: Readonly<Record<string, string>>;
}

/**
 * Extracts the image `tag` of an OCI layout with zstd or gzip and GNU tar, and applies whiteouts as the OCI image
 * specification says: the tree that osdeploy's root image is compared with. As root, so that owners and devices come out right.
 *
 * @see https://github.com/opencontainers/image-spec/blob/main/layer.md
 */
export function extractImage(layout: string, tag: string, directory: string): void {
  mkdirSync(directory, { recursive: true });
  for (const digest of layerDigests(layout, tag)) extractLayer(blobPath(layout, digest), directory);
}

/** The layer digests of an image of a layout, bottom first. */
export function layerDigests(layout: string, tag: string): readonly string[] {
  const manifest = readJson<{ layers: readonly Descriptor[] }>(blobPath(layout, manifestDigest(layout, tag)));
  return manifest.layers.map((layer) => layer.digest);
}

/** The manifest's digest of an image of a layout. */
export function manifestDigest(layout: string, tag: string): string {
  const index = readJson<{ manifests: readonly Descriptor[] }>(join(layout, "index.json"));
  const entry = index.manifests.find((one) => one.annotations?.["org.opencontainers.image.ref.name"] === tag);
  if (entry === undefined) throw new Error(`no image ${tag} in ${layout}`);
  return entry.digest;
}

function readJson<Shape>(file: string): Shape {
  return JSON.parse(readFileSync(file, "utf8")) as Shape;
}

function blobPath(layout: string, digest: string): string {
  return join(layout, "blobs", digest.replace(":", "/"));
}

function extractLayer(blob: string, directory: string): void {
  const tar = `${directory}.layer.tar`;
  decompress(blob, tar);
  const names = execFileSync("tar", ["--list", "--quoting-style=literal", "--file", tar], {
    encoding: "latin1",
    maxBuffer: 2 ** 28,
  });
  for (const path of names.split("\n")) applyWhiteout(directory, path);
  const extract = [
    "--extract",
    "--numeric-owner",
    "--same-owner",
    "--same-permissions",
    "--xattrs",
    "--xattrs-include=*",
    // the second release of images/ is a week younger than the archive
    "--warning=no-timestamp",
    // a tar may come back to a directory after other entries
    "--delay-directory-restore",
  ];
  execFileSync("tar", [...extract, "--exclude=.wh.*", "--file", tar, "--directory", directory]);
  rmSync(tar);
}

function decompress(blob: string, tar: string): void {
  const zstd = readFileSync(blob).readUInt32LE(0) === 0xfd2fb528;
  const script = zstd ? 'zstd -dcq "$1" >"$2"' : 'gzip -dc "$1" >"$2" 2>/dev/null || cp "$1" "$2"';
  const run = spawnSync("sh", ["-c", script, "sh", blob, tar], { encoding: "utf8" });
  if (run.status !== 0) throw new Error(`cannot decompress ${blob}: ${run.stderr}`);
}

function applyWhiteout(directory: string, path: string): void {
  const name = basename(path);
  const parent = join(directory, dirname(path));
  if (name === ".wh..wh..opq") {
    for (const child of readdirSync(parent)) rmSync(join(parent, child), { recursive: true });
  } else if (name.startsWith(".wh.")) {
    rmSync(join(parent, name.slice(".wh.".length)), { recursive: true, force: true });
  }
}
