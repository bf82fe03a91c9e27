import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { type BuiltImage, type BuiltIndex, descriptorOf, json } from "./oci-image.ts";
import { buildTar, type LayerFile } from "./oci-layer.ts";

/** An image or an index with the tag it has in a layout or archive. */
export interface Tagged {
  readonly image: BuiltImage | BuiltIndex;
  readonly tag?: string;
}

/** Writes an OCI image layout to the directory `directory`, which is made. */
export function writeLayout(directory: string, images: readonly Tagged[]): void {
  for (const [path, bytes] of layoutFiles(images)) {
    mkdirSync(join(directory, dirname(path)), { recursive: true });
    writeFileSync(join(directory, path), bytes);
  }
}

/** Writes the same as a tar, as skopeo's `oci-archive:`. */
export async function writeOciArchive(file: string, images: readonly Tagged[]): Promise<void> {
  writeFileSync(file, await buildTar([...layoutFiles(images)].map(([path, content]) => ({ path, content }))));
}

/** How an archive differs from what today's `docker save` writes. */
export interface DockerArchiveOptions {
  /** Layers in folders, equal ones as symlinks. */
  readonly oldFormat?: boolean;
  /** Leave the layers compressed, as some builders do. */
  readonly compressed?: boolean;
}

/** Writes images with their names as `docker save` does; the layers are plain tars. */
export async function writeDockerArchive(
  file: string,
  images: readonly { readonly image: BuiltImage; readonly names?: readonly string[] }[],
  options: DockerArchiveOptions = {},
): Promise<void> {
  const files: LayerFile[] = [];
  const list = images.map(({ image, names }) => {
    const configPath = `${image.configDigest.slice(7)}.json`;
    addFile(files, { path: configPath, content: image.config });
    const layers = image.layers.map((layer, index) => {
      const content = options.compressed === true ? layer.blob : layer.tar;
      return options.oldFormat === true
        ? addOldLayer(files, index, content)
        : addNewLayer(files, layer.diffId, content);
    });
    return { Config: configPath, RepoTags: names ?? null, Layers: layers };
  });
  files.push({ path: "manifest.json", content: json(list) });
  writeFileSync(file, await buildTar(files));
}

function addNewLayer(files: LayerFile[], diffId: string, content: Uint8Array): string {
  const path = `${diffId.slice(7)}.tar`;
  addFile(files, { path, content });
  return path;
}

function addOldLayer(files: LayerFile[], index: number, content: Uint8Array): string {
  const folder = index.toString().repeat(64);
  const path = `${folder}/layer.tar`;
  const twin = files.find((file) => file.content instanceof Uint8Array && Buffer.compare(file.content, content) === 0);
  files.push({ path: `${folder}/` }, { path: `${folder}/VERSION`, content: "1.0" });
  files.push(twin === undefined ? { path, content } : { path, symlink: `../${twin.path}` });
  return path;
}

function addFile(files: LayerFile[], file: LayerFile): void {
  if (!files.some((other) => other.path === file.path)) files.push(file);
}

function layoutFiles(images: readonly Tagged[]): ReadonlyMap<string, Uint8Array> {
  const files = new Map<string, Uint8Array>([["oci-layout", json({ imageLayoutVersion: "1.0.0" })]]);
  for (const { image } of images) {
    for (const [digest, bytes] of image.blobs) files.set(`blobs/${digest.replace(":", "/")}`, bytes);
  }
  const manifests = images.map(({ image, tag }) => ({
    ...("index" in image ? indexDescriptor(image) : descriptorOf(image)),
    ...(tag === undefined ? {} : { annotations: { "org.opencontainers.image.ref.name": tag } }),
  }));
  return files.set("index.json", json({ schemaVersion: 2, manifests }));
}

function indexDescriptor(index: BuiltIndex): { mediaType: string; digest: string; size: number } {
  return { mediaType: index.indexType, digest: index.indexDigest, size: index.index.length };
}
