import { createHash } from "node:crypto";
import { gzipSync } from "node:zlib";
import { compress as zstd } from "@mongodb-js/zstd";
import { pack } from "tar-stream";
import type { Compression } from "../../src/core/oci/media-type.ts";

/** One entry of a layer's tar. Owner 0:0, time 0, and the usual mode unless said otherwise. */
export interface LayerFile {
  readonly path: string;
  /** A regular file when there is `content`, a symlink or hard link when there is a target, else a directory. */
  readonly content?: string | Uint8Array;
  readonly symlink?: string;
  readonly hardLink?: string;
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  /** Seconds since 1970. */
  readonly mtime?: number;
  /** ASCII values only: tar-stream spoils others. */
  readonly xattrs?: Readonly<Record<string, string>>;
}

/** A layer with all that documents say of it. */
export interface BuiltLayer {
  readonly tar: Uint8Array;
  readonly diffId: string;
  /** The tar, compressed. */
  readonly blob: Uint8Array;
  readonly digest: string;
  readonly mediaType: string;
}

/** A tar with these entries in this order. */
export async function buildTar(files: readonly LayerFile[]): Promise<Uint8Array> {
  const tar = pack();
  for (const file of files) {
    tar.entry(headerOf(file), file.content ?? "");
  }
  tar.finalize();
  const pieces: Uint8Array[] = [];
  for await (const piece of tar) pieces.push(piece as Uint8Array);
  return Buffer.concat(pieces);
}

/** A layer of these entries; gzip where nothing else is asked for. */
export async function buildLayer(files: readonly LayerFile[], compression: Compression = "gzip"): Promise<BuiltLayer> {
  const tar = await buildTar(files);
  const blob = await compressed(tar, compression);
  const suffix = compression === "none" ? "" : `+${compression}`;
  return {
    tar,
    diffId: sha256(tar),
    blob,
    digest: sha256(blob),
    mediaType: `application/vnd.oci.image.layer.v1.tar${suffix}`,
  };
}

/** `sha256:` and hex, as documents write it. */
export function sha256(bytes: Uint8Array): string {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}

async function compressed(tar: Uint8Array, compression: Compression): Promise<Uint8Array> {
  if (compression === "gzip") return gzipSync(tar);
  return compression === "zstd" ? zstd(Buffer.from(tar)) : tar;
}

function headerOf(file: LayerFile): Parameters<ReturnType<typeof pack>["entry"]>[0] {
  const type = typeOf(file);
  const linkname = file.symlink ?? file.hardLink;
  const pax = Object.entries(file.xattrs ?? {}).map(([key, value]) => [`SCHILY.xattr.${key}`, value]);
  return {
    name: file.path,
    type,
    mode: file.mode ?? (type === "directory" ? 0o755 : type === "symlink" ? 0o777 : 0o644),
    uid: file.uid ?? 0,
    gid: file.gid ?? 0,
    mtime: new Date((file.mtime ?? 0) * 1000),
    ...(linkname === undefined ? {} : { linkname }),
    ...(pax.length === 0 ? {} : { pax: Object.fromEntries(pax) }),
  };
}

function typeOf(file: LayerFile): "file" | "directory" | "symlink" | "link" {
  if (file.content !== undefined) return "file";
  if (file.symlink !== undefined) return "symlink";
  return file.hardLink === undefined ? "directory" : "link";
}
