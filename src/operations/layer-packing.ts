import { joinBytes } from "../core/bytes/join-bytes.ts";
import { encodeText } from "../core/bytes/utf8.ts";
import { BlobHasher, sha256Of } from "../core/digest/blob-hasher.ts";
import { type LayerDigest, parseLayerDigest } from "../core/digest/oci-digest.ts";
import { OsdeployError } from "../core/errors.ts";
import type { Compression } from "../core/oci/media-type.ts";
import type { RepackedLayer } from "../core/oci/repacked-manifest.ts";
import { ChunkedLayerWriter } from "../core/zstd-chunked/chunked-layer-writer.ts";
import { chunkedTail, type PackedTable } from "../core/zstd-chunked/chunked-tail.ts";
import { gzipPieces } from "../linux/gzip-encoder.ts";
import type { Fd, LinuxFiles, Path } from "../linux/linux.ts";
import { ZstdFrameWriter } from "../linux/zstd-frame-writer.ts";

/** How layers are to be compressed. */
export type LayerFormat = "zstd:chunked" | Compression;

export interface PackingOptions {
  readonly format: LayerFormat;
  /** As the programs of that name take it; their default where it is not given. */
  readonly level?: number | undefined;
}

/** What packing a layer gave, besides the file. */
export interface PackedLayer extends RepackedLayer {
  readonly digest: LayerDigest;
  /** Why the layer is no zstd:chunked one, where that was asked for. */
  readonly refusal: string | undefined;
}

/**
 * Compresses a layer to the new file `path`, measuring it on the way. `tar` gives the layer's bytes, and again when they
 * turn out to be nothing that zstd:chunked can say: then the layer is a plain zstd one.
 *
 * @throws OsdeployError of `tar`, and of the file.
 */
export async function packLayer(
  files: LinuxFiles,
  path: Path,
  layer: { readonly tar: () => AsyncIterable<Uint8Array>; readonly options: PackingOptions },
): Promise<PackedLayer> {
  const { tar, options } = layer;
  const { format, level } = options;
  if (format !== "zstd:chunked") return await packPlain(files, path, { tar: tar(), format, level });
  try {
    return await withNewFile(files, path, (fd) => packChunked(new BlobFile(files, fd), tar(), level));
  } catch (error) {
    if (!(error instanceof NotChunkable)) throw error;
    files.unlink(path);
    const packed = await packPlain(files, path, { tar: tar(), format: "zstd", level });
    return { ...packed, refusal: error.reason.message };
  }
}

/** As readable as the blobs of a layout are. */
async function withNewFile<T>(files: LinuxFiles, path: Path, use: (fd: Fd) => Promise<T>): Promise<T> {
  const fd = files.open(path, "create", 0o644);
  try {
    return await use(fd);
  } finally {
    files.close(fd);
  }
}

/** The tar cannot be a zstd:chunked layer. */
class NotChunkable extends Error {
  readonly reason: OsdeployError;

  constructor(reason: OsdeployError) {
    super(reason.message);
    this.name = "NotChunkable";
    this.reason = reason;
  }
}

/** A file that is to become a blob. */
class BlobFile {
  readonly #files: LinuxFiles;
  readonly #fd: Fd;
  readonly #hasher = new BlobHasher("sha256");
  #sizeBytes = 0;

  constructor(files: LinuxFiles, fd: Fd) {
    this.#files = files;
    this.#fd = fd;
  }

  write(bytes: Uint8Array): void {
    this.#files.write(this.#fd, bytes);
    this.#hasher.update(bytes);
    this.#sizeBytes += bytes.length;
  }

  finish(): { readonly digest: LayerDigest; readonly sizeBytes: number } {
    return { digest: parseLayerDigest(this.#hasher.measured()), sizeBytes: this.#sizeBytes };
  }
}

async function packPlain(
  files: LinuxFiles,
  path: Path,
  layer: {
    readonly tar: AsyncIterable<Uint8Array>;
    readonly format: Compression;
    readonly level: number | undefined;
  },
): Promise<PackedLayer> {
  const { tar, format, level } = layer;
  return await withNewFile(files, path, async (fd) => {
    const file = new BlobFile(files, fd);
    if (format === "zstd") await compressZstd(file, tar, level);
    else for await (const piece of format === "gzip" ? gzipPieces(tar, level) : tar) file.write(piece);
    return { ...file.finish(), compression: format, annotations: {}, refusal: undefined };
  });
}

async function compressZstd(file: BlobFile, tar: AsyncIterable<Uint8Array>, level: number | undefined): Promise<void> {
  const writer = new ZstdFrameWriter((bytes) => file.write(bytes), level);
  try {
    for await (const piece of tar) writer.write(piece);
    writer.finish();
  } finally {
    writer.close();
  }
}

async function packChunked(
  file: BlobFile,
  tar: AsyncIterable<Uint8Array>,
  level: number | undefined,
): Promise<PackedLayer> {
  const data = new ZstdFrameWriter((bytes) => file.write(bytes), level);
  const toc = new TableWriter(level);
  const tarSplit = new TableWriter(level);
  try {
    const writer = new ChunkedLayerWriter({
      data: (bytes) => data.write(bytes),
      endFrame: () => data.endFrame(),
      tarSplit: (text) => tarSplit.write(text),
      toc: (text) => toc.write(text),
    });
    for await (const piece of tar) chunkable(() => writer.push(piece));
    chunkable(() => writer.finish());
    const packedTarSplit = tarSplit.finish();
    writer.finishToc(sha256Of(packedTarSplit.bytes));
    const tail = chunkedTail(data.finish(), { toc: toc.finish(), tarSplit: packedTarSplit });
    file.write(tail.bytes);
    return { ...file.finish(), compression: "zstd", annotations: tail.annotations, refusal: undefined };
  } finally {
    for (const each of [data, toc, tarSplit]) each.close();
  }
}

function chunkable(write: () => void): void {
  try {
    write();
  } catch (error) {
    const isRefusal = error instanceof OsdeployError && ["unsupported", "bad-format"].includes(error.code);
    throw isRefusal ? new NotChunkable(error) : error;
  }
}

/** One of the two tables, compressed as it comes. */
class TableWriter {
  readonly #pieces: Uint8Array[] = [];
  readonly #writer: ZstdFrameWriter;
  #unpackedBytes = 0;

  constructor(level: number | undefined) {
    // A copy whatever the bytes are in: the slice of a Buffer would be none.
    this.#writer = new ZstdFrameWriter((bytes) => this.#pieces.push(new Uint8Array(bytes)), level);
  }

  write(text: string): void {
    const bytes = encodeText(text);
    this.#unpackedBytes += bytes.length;
    this.#writer.write(bytes);
  }

  finish(): PackedTable {
    this.#writer.finish();
    return { bytes: joinBytes(this.#pieces), unpackedBytes: this.#unpackedBytes };
  }

  close(): void {
    this.#writer.close();
  }
}
