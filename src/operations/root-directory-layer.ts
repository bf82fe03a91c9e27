import { fromBytes, toText } from "../core/bytes/byte-string.ts";
import { parseLayerDigest } from "../core/digest/oci-digest.ts";
import { OsdeployError } from "../core/errors.ts";
import { parseImageConfig } from "../core/oci/image-config.ts";
import { ociLayerType } from "../core/oci/media-type.ts";
import type { Platform } from "../core/oci/platform.ts";
import { singleLayerImage } from "../core/oci/single-layer-image.ts";
import { maxInlineBytes } from "../core/tar/tar-scanner.ts";
import type { FileContent } from "../core/tree/inode.ts";
import type { LayerEntry } from "../core/tree/layer.ts";
import { layerOfTree } from "../core/tree/layer-of-tree.ts";
import type { ResolvedImage } from "../image-source/image-source.ts";
import { readRootDirectory } from "../image-source/root-directory.ts";
import type { FileStat, LinuxFiles, Path } from "../linux/linux.ts";
import { multiBufferHasher } from "../linux/multi-buffer-hasher.ts";
import { childPath } from "../linux/path.ts";
import type { ImportedLayer } from "../repo/layer-import.ts";
import { changedFile, LayerWriter } from "../repo/layer-writer.ts";
import { ObjectStaging } from "../repo/object-staging.ts";
import type { WritableRepo } from "../repo/repo.ts";
import type { StagingRun } from "../repo/staging-run.ts";
import { checkInterrupted, type System } from "./system.ts";

/** A directory that is to become an image. */
export interface DirectoryToStage {
  readonly path: Path;
  readonly platform: Platform;
  /** Its reference, for errors. */
  readonly name: string;
  /** Where the contents go. */
  readonly run: StagingRun;
}

/** A directory as an image whose one layer is staged. */
export interface StagedDirectory {
  readonly image: ResolvedImage;
  readonly layer: ImportedLayer;
}

/**
 * Makes an image of a directory: one uncompressed layer, staged while it is read, and documents that follow from it.
 *
 * An unchanged directory gives the same image again. Metadata is read first and contents after it, so a file that changes
 * in between is found out. Contents share blocks with the directory where the file system can. Memory is that of the
 * metadata. Runs on the calling thread and gives way between files, so that signals come through: there is one stream of
 * bytes with one digest, which cannot be cut among threads.
 *
 * @throws OsdeployError `bad-format` when it is no directory; `usage` when the repo lies in it; `busy` when a file changes
 * while it is read.
 */
export async function stageRootDirectory(
  system: System,
  repo: WritableRepo,
  directory: DirectoryToStage,
): Promise<StagedDirectory> {
  const { files } = system.linux;
  if (isInside(files, repo.path, directory.path)) {
    throw new OsdeployError("usage", `Cannot pull ${directory.name}: repo "${toText(repo.path)}" lies in it`);
  }
  system.progress({ kind: "phase", phase: "read-directory" });
  const entries = readEntries(system, directory);
  const layer = await writeLayer(system, repo, { ...directory, entries });
  return { layer, image: describeImage(layer, directory) };
}

function readEntries(system: System, { path, name }: DirectoryToStage): readonly LayerEntry[] {
  const { files } = system.linux;
  const tree = readRootDirectory(files, path, {
    contentOf: (file, stat) => contentOf(files, file, stat),
    hardLinks: "detect",
    devices: "keep",
    xattrs: "all",
    times: "keep",
    mounts: "leave-empty",
    vanished: "refuse",
  });
  const { entries, leftOut } = layerOfTree(tree);
  for (const socket of leftOut) {
    const message = `${name}/${toText(socket)} is a socket, which no image can hold: it is left out`;
    system.progress({ kind: "warning", message });
  }
  return entries;
}

/** Small contents are read with the metadata; of others nothing is known yet but the size. */
function contentOf(files: LinuxFiles, path: Path, { sizeBytes }: FileStat): FileContent {
  if (sizeBytes > maxInlineBytes) {
    return { kind: "external", sizeBytes: BigInt(sizeBytes), backingPath: undefined, digest: undefined };
  }
  const bytes = files.readFile(path, smallFileLimitBytes);
  if (bytes.length !== sizeBytes) throw changedFile(path);
  return { kind: "inline", bytes: fromBytes(bytes) };
}

/** A small file that has grown beyond this has changed for sure. */
const smallFileLimitBytes = 1024 * 1024;

/** How much is read before signals are looked at: some hundredths of a second. */
const turn = { bytes: 16 * 1024 * 1024, entries: 1000 };

async function writeLayer(
  system: System,
  repo: WritableRepo,
  work: DirectoryToStage & { readonly entries: readonly LayerEntry[] },
): Promise<ImportedLayer> {
  const staging = new ObjectStaging(repo.files, work.run.newStagingOptions(), multiBufferHasher(repo.algorithm));
  const writer = new LayerWriter(repo.files, staging);
  const total = work.entries.reduce((sum, entry) => sum + externalBytes(entry), 0);
  let done = 0;
  let left = { ...turn };
  for (const entry of work.entries) {
    const sizeBytes = externalBytes(entry);
    if (entry.kind === "regular" && sizeBytes > 0) writer.addFile(entry, sizeBytes, childPath(work.path, entry.path));
    else writer.addEntry(entry);
    done += sizeBytes;
    left = { bytes: left.bytes - sizeBytes, entries: left.entries - 1 };
    if (left.bytes > 0 && left.entries > 0) continue;
    left = { ...turn };
    system.progress({ kind: "phase-advanced", done, total });
    await new Promise((resolve) => setImmediate(resolve));
    checkInterrupted(system.signal);
  }
  return writer.finish();
}

function externalBytes(entry: LayerEntry): number {
  return entry.kind === "regular" && entry.content.kind === "external" ? Number(entry.content.sizeBytes) : 0;
}

function describeImage({ diffId, tarBytes }: ImportedLayer, { platform, name }: DirectoryToStage): ResolvedImage {
  const { config, manifest } = singleLayerImage({ diffId, sizeBytes: tarBytes }, platform);
  return {
    index: undefined,
    manifest,
    config,
    imageConfig: parseImageConfig(config.bytes, `config of ${name}`),
    annotations: new Map(),
    layers: [
      {
        mediaType: ociLayerType,
        compression: "none",
        digest: parseLayerDigest(diffId),
        diffId,
        sizeBytes: tarBytes,
        annotations: new Map(),
      },
    ],
  };
}

/** Whether `inner` is `outer` or lies below it, whatever names lead there. */
function isInside(files: LinuxFiles, inner: Path, outer: Path): boolean {
  const { identity } = files.lstat(outer);
  let path = `${inner}/.` as Path;
  for (let here = files.lstat(path).identity; ; ) {
    if (here === identity) return true;
    path = `${path}/..` as Path;
    const above = files.lstat(path).identity;
    if (above === here) return false;
    here = above;
  }
}
