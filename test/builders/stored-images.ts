import { fromText } from "../../src/core/bytes/byte-string.ts";
import { sha256Of } from "../../src/core/digest/blob-hasher.ts";
import type { ObjectId } from "../../src/core/digest/object-id.ts";
import { type ManifestDigest, parseConfigDigest, parseManifestDigest } from "../../src/core/digest/oci-digest.ts";
import { writeErofs } from "../../src/core/erofs/writer.ts";
import { SplitstreamWriter } from "../../src/core/splitstream/splitstream-writer.ts";
import { compressZstd } from "../../src/linux/zstd-encoder.ts";
import type { ObjectStaging } from "../../src/repo/object-staging.ts";
import type { StreamName } from "../../src/repo/publish.ts";
import { stageDocument } from "../../src/repo/stage-document.ts";
import { directory, objectFile } from "./file-trees.ts";
import { content, idOf } from "./repos.ts";

/** An image that lies in a repo as a pull leaves it: one layer, config, manifest, and its root image. */
export interface StoredImage {
  readonly manifest: ManifestDigest;
  readonly rootImage: ObjectId;
  /** The objects of its files. */
  readonly files: readonly ObjectId[];
  readonly streams: readonly StreamName[];
}

/** Stages a whole image whose files have the contents `contents`. `name` makes its documents differ from others'. */
export function stageImage(staging: ObjectStaging, name: string, contents: readonly Uint8Array[]): StoredImage {
  const files = contents.map((bytes) => staging.add(bytes));
  const rootImage = staging.add(rootImageOf(contents));
  const layer = stageLayer(staging, name, contents);
  const diffId = layer.name.slice("oci-layer-".length);
  const config = stageText(staging, "config", `config of ${name}`, [
    [diffId, layer.id],
    ["composefs.image.boot.v1", rootImage],
  ]);
  const manifest = stageText(staging, "manifest", `manifest of ${name}`, [
    [`config:${config.name.slice("oci-config-".length)}`, config.id],
    [diffId, layer.id],
  ]);
  const digest = parseManifestDigest(manifest.name.slice("oci-manifest-".length));
  return { manifest: digest, rootImage, files, streams: [layer, config, manifest] };
}

/** The root image with one file for each of `contents`. */
export function rootImageOf(contents: readonly Uint8Array[]): Uint8Array {
  const entries = contents.map((bytes, index) => [`file${index}`, objectFile(BigInt(bytes.length), idOf(bytes))]);
  return writeErofs({ root: directory(Object.fromEntries(entries)) }, { version: 1 });
}

/** Three files of 100 bytes to 5 kB that nobody else has, for `seed`s that are 10 apart. */
export function imageContents(seed: number): readonly Uint8Array[] {
  return [content(100, seed), content(1000, seed + 1), content(5000, seed + 2)];
}

function stageLayer(staging: ObjectStaging, name: string, contents: readonly Uint8Array[]): StreamName {
  const headers = text(`headers of ${name}`);
  const diffId = sha256Of(Buffer.concat([headers, ...contents]));
  const writer = new SplitstreamWriter(staging.algorithm, "layer");
  writer.addInline(headers);
  for (const bytes of contents) writer.addObject(idOf(bytes), BigInt(bytes.length));
  return { name: `oci-layer-${diffId}`, id: staging.add(writer.finish(compressZstd)) };
}

function stageText(
  staging: ObjectStaging,
  kind: "config" | "manifest",
  document: string,
  refs: readonly (readonly [string, ObjectId])[],
): StreamName {
  // Long enough to be an object of its own for any program.
  const bytes = text(document.padEnd(100, "."));
  return stageDocument(staging, { kind, digest: parseConfigDigest(sha256Of(bytes)), bytes, refs: new Map(refs) });
}

function text(words: string): Uint8Array {
  return new Uint8Array(Buffer.from(fromText(words), "latin1"));
}
