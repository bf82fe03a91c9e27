import { compress as zstd } from "@mongodb-js/zstd";
import { type BuiltImage, json } from "./oci-image.ts";
import { type BuiltLayer, buildTar, type LayerFile, sha256 } from "./oci-layer.ts";

/** The keys of an entry of a table of contents, as far as content goes. */
export interface TocFields {
  type?: string;
  name?: string;
  size?: number;
  digest?: string;
  offset?: number;
  endOffset?: number;
  chunkSize?: number;
  chunkOffset?: number;
  chunkDigest?: string;
  chunkType?: string;
}

/** A line of a tar-split. */
export interface TarSplitFields {
  type?: number;
  name?: string;
  name_raw?: string;
  size?: number;
  payload?: string | null;
  position?: number;
}

/** A table of contents as JSON has it. */
export interface TocDocument {
  version?: number;
  entries?: TocFields[];
  tarSplitDigest?: string;
}

export interface ChunkedLayer extends BuiltLayer {
  readonly annotations: Readonly<Record<string, string>>;
  /** Bytes of both tables, compressed. */
  readonly tableBytes: number;
}

export interface ChunkedOptions {
  /** Files are cut into chunks of this size; those of zeros are marked. */
  readonly chunkBytes?: number;
  /** Lies, told by who can also compute the digests that go with them. */
  readonly changeToc?: (toc: TocDocument) => TocDocument;
  readonly changeTarSplit?: (lines: TarSplitFields[]) => TarSplitFields[];
  readonly changeTables?: (tables: { toc: Uint8Array; tarSplit: Uint8Array }) => {
    toc: Uint8Array;
    tarSplit: Uint8Array;
  };
  readonly changeAnnotations?: (annotations: Record<string, string>) => Record<string, string>;
  /** Content that the frame of a file gets instead of its own. */
  readonly frameOf?: (name: string, content: Uint8Array) => Uint8Array;
}

/** A zstd:chunked layer of these entries, laid out as containers/storage does it. */
export async function buildChunkedLayer(
  files: readonly LayerFile[],
  options: ChunkedOptions = {},
): Promise<ChunkedLayer> {
  const tar = await buildTar(files);
  const walked = await new Walk(tar, options).run();
  const tarSplitJson = (options.changeTarSplit ?? same)(walked.lines).map((line) => `${JSON.stringify(line)}\n`);
  const tarSplit = await zstd(Buffer.from(tarSplitJson.join("")));
  const plain: TocDocument = { version: 1, entries: walked.entries, tarSplitDigest: sha256(tarSplit) };
  const tocJson = Buffer.from(JSON.stringify((options.changeToc ?? same)(plain)));
  const packed = (options.changeTables ?? same)({ toc: await zstd(tocJson), tarSplit });
  const data = Buffer.concat(walked.frames);
  const tocAt = data.length + 8;
  const splitAt = tocAt + packed.toc.length + 8;
  const blob = Buffer.concat([data, skippable(packed.toc), skippable(packed.tarSplit), skippable(new Uint8Array(64))]);
  const splitBytes = tarSplitJson.join("").length;
  const annotations = {
    "io.github.containers.zstd-chunked.manifest-checksum": sha256(packed.toc),
    "io.github.containers.zstd-chunked.manifest-position": `${tocAt}:${packed.toc.length}:${tocJson.length}:1`,
    "io.github.containers.zstd-chunked.tarsplit-position": `${splitAt}:${packed.tarSplit.length}:${splitBytes}`,
  };
  return {
    ...{ tar, diffId: sha256(tar), blob, digest: sha256(blob) },
    mediaType: "application/vnd.oci.image.layer.v1.tar+zstd",
    annotations: (options.changeAnnotations ?? same)(annotations),
    tableBytes: packed.toc.length + 8 + packed.tarSplit.length,
  };
}

/** An image of such layers; others can be among them. */
export function buildChunkedImage(
  layers: readonly (BuiltLayer & Partial<Pick<ChunkedLayer, "annotations">>)[],
  labels: Readonly<Record<string, string>> = {},
): BuiltImage {
  const platform = { os: "linux", architecture: "amd64" };
  const rootfs = { type: "layers", diff_ids: layers.map(({ diffId }) => diffId) };
  const config = json({ ...platform, config: Object.keys(labels).length === 0 ? {} : { Labels: labels }, rootfs });
  const manifest = json({
    schemaVersion: 2,
    mediaType: "application/vnd.oci.image.manifest.v1+json",
    config: { mediaType: "application/vnd.oci.image.config.v1+json", digest: sha256(config), size: config.length },
    layers: layers.map(({ annotations = {}, blob, digest, mediaType }) => ({
      ...{ mediaType, digest, size: blob.length, annotations },
    })),
  });
  const blobs = new Map([manifest, config, ...layers.map(({ blob }) => blob)].map((blob) => [sha256(blob), blob]));
  return {
    ...{ manifest, manifestDigest: sha256(manifest), manifestType: "application/vnd.oci.image.manifest.v1+json" },
    ...{ config, configDigest: sha256(config), layers, blobs, platform },
  };
}

/** Bytes that do not compress, the same for the same seed. */
export function noise(sizeBytes: number, seed = 1): Uint8Array {
  let state = (seed * 2654435761 + 1) >>> 0;
  return Uint8Array.from({ length: sizeBytes }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state >>> 24;
  });
}

function same<T>(value: T): T {
  return value;
}

function skippable(payload: Uint8Array): Uint8Array {
  const header = Buffer.alloc(8);
  header.writeUInt32LE(0x184d2a50, 0);
  header.writeUInt32LE(payload.length, 4);
  return Buffer.concat([header, payload]);
}

/** Cuts a tar into frames, and takes down what the tables say of it. */
class Walk {
  readonly #tar: Uint8Array;
  readonly #options: ChunkedOptions;
  readonly frames: Uint8Array[] = [];
  readonly entries: TocFields[] = [];
  readonly lines: TarSplitFields[] = [];
  #offset = 0;

  constructor(tar: Uint8Array, options: ChunkedOptions) {
    this.#tar = tar;
    this.#options = options;
  }

  async run(): Promise<this> {
    let structureStart = 0;
    let at = 0;
    while (this.#tar[at] !== 0 && at < this.#tar.length) {
      const header = Buffer.from(this.#tar.subarray(at, at + 512));
      const type = String.fromCharCode(header[156] ?? 0);
      const size = Number.parseInt(header.subarray(124, 135).toString("latin1"), 8);
      at += 512;
      if (type === "x") {
        at += Math.ceil(size / 512) * 512;
        continue;
      }
      const nameBytes = header.subarray(0, header.indexOf(0));
      const name = `${cut(header.subarray(345, 500))}${nameBytes.toString("utf8")}`;
      this.#line({ type: 2, payload: Buffer.from(this.#tar.subarray(structureStart, at)).toString("base64") });
      this.#line({ type: 1, name, ...(size > 0 ? { size } : {}), payload: null });
      if (type === "0" && size > 0) {
        await this.#frame(this.#tar.subarray(structureStart, at));
        await this.#addFile(name, this.#tar.subarray(at, at + size));
        structureStart = at + size;
        at += Math.ceil(size / 512) * 512;
        continue;
      }
      this.entries.push({ type: kinds[type] ?? "reg", name });
      structureStart = this.#split(structureStart, at);
    }
    const rest = this.#tar.subarray(structureStart);
    this.#line({ type: 2, payload: Buffer.from(rest).toString("base64") });
    await this.#frame(rest);
    return this;
  }

  /** Headers without content stay in the frame that is open; here each gets one of its own, which says the same. */
  #split(start: number, end: number): number {
    this.#pending.push(this.#tar.subarray(start, end));
    return end;
  }
  #pending: Uint8Array[] = [];

  #line(fields: TarSplitFields): void {
    this.lines.push({ ...fields, position: this.lines.length });
  }

  async #frame(content: Uint8Array): Promise<number> {
    const all = Buffer.concat([...this.#pending, content]);
    this.#pending = [];
    const frame = await zstd(all);
    this.frames.push(frame);
    this.#offset += frame.length;
    return this.#offset;
  }

  async #addFile(name: string, content: Uint8Array): Promise<void> {
    const { chunkBytes = 1 << 30, frameOf } = this.#options;
    const chunks: TocFields[] = [];
    for (let at = 0; at < content.length; at += chunkBytes) {
      const chunk = content.subarray(at, at + chunkBytes);
      const isZeros = chunk.every((byte) => byte === 0);
      chunks.push({
        ...{ offset: this.#offset, chunkSize: chunk.length, chunkOffset: at, chunkDigest: sha256(chunk) },
        ...(isZeros ? { chunkType: "zeros" } : {}),
      });
      await this.#frame(frameOf?.(name, chunk) ?? chunk);
    }
    const file = { type: "reg", name, size: content.length, digest: sha256(content), endOffset: this.#offset };
    const [first, ...others] = chunks;
    if (others.length === 0) this.entries.push({ ...file, offset: first?.offset ?? 0 });
    else this.entries.push({ ...first, ...file }, ...others.map((chunk) => ({ type: "chunk", name, ...chunk })));
  }
}

const kinds: Readonly<Record<string, string>> = { "5": "dir", "2": "symlink", "1": "hardlink" };

function cut(prefix: Buffer): string {
  const text = prefix.subarray(0, prefix.indexOf(0)).toString("utf8");
  return text === "" ? "" : `${text}/`;
}
