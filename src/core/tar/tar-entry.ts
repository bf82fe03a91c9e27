import { type ByteString, inQuotes } from "../bytes/byte-string.ts";
import { OsdeployError } from "../errors.ts";
import type { Stat, Xattrs } from "../tree/inode.ts";
import { kindNames } from "../tree/kind-names.ts";
import type { LayerEntry } from "../tree/layer.ts";
import { type Extension, sparseFile } from "./pax.ts";
import type { TarHeader } from "./tar-header.ts";
import type { TarLimits } from "./tar-limits.ts";
import { readPath } from "./tar-path.ts";

/** A regular file whose content is still to come. */
export interface PendingFile {
  readonly path: ByteString;
  readonly stat: Stat;
  readonly xattrs: Xattrs;
  readonly sizeBytes: number;
}

/** One entry with its extensions applied: a file, or what is complete without content. */
export type TarEntry =
  | { readonly kind: "file"; readonly file: PendingFile }
  | { readonly kind: "complete"; readonly entry: LayerEntry };

const noXattrs: Xattrs = new Map();
/** The longest target of a symlink that Linux takes. */
const maxTarget = 4095;

/**
 * What `header` stands for under `extension`.
 *
 * A header without magic and with a name that ends in a slash is a directory, as in the days when there was no other way
 * to say it. With magic, such a name of the type NUL is refused: most readers take it for a directory. Links, directories
 * and devices with a size are refused: readers disagree on whether content follows.
 *
 * @throws OsdeployError `bad-format`; `unsupported` for unknown types and sparse files; `limit-exceeded`.
 */
export function readEntry(header: TarHeader, extension: Extension, limits: TarLimits): TarEntry {
  const rawPath = extension.path ?? extension.longName ?? header.name;
  const path = readPath(rawPath, limits);
  const kind = readKind(header, rawPath);
  const sizeBytes = extension.sizeBytes ?? header.sizeBytes;
  const stat = readStat(header, extension);
  const xattrs = extension.xattrs ?? noXattrs;
  if (path === "" && kind !== "directory") throw refuse(path, "the root can only be a directory");
  if (kind === "regular") {
    if (sizeBytes > limits.fileBytes) throw tooLarge(path, sizeBytes);
    return { kind: "file", file: { path, stat, xattrs, sizeBytes } };
  }
  if (sizeBytes !== 0)
    throw refuse(path, `it is a ${kind === "hard-link" ? "hard link" : kindNames[kind]} with a size of ${sizeBytes}`);
  const link = extension.linkPath ?? extension.longLink ?? header.linkName;
  switch (kind) {
    case "hard-link":
      return { kind: "complete", entry: { kind, path, target: readPath(link, limits) } };
    case "symlink":
      return { kind: "complete", entry: { kind, path, stat, xattrs, target: readTarget(path, link) } };
    case "character-device":
    case "block-device":
      if (header.format === "v7") throw refuse(path, "it is a device, which its header cannot say the number of");
      return { kind: "complete", entry: { kind, path, stat, xattrs, rdev: encodeDevice(header) } };
    default:
      return { kind: "complete", entry: { kind, path, stat, xattrs } };
  }
}

const kinds: Readonly<Record<string, LayerEntry["kind"]>> = {
  "\0": "regular",
  "0": "regular",
  "1": "hard-link",
  "2": "symlink",
  "3": "character-device",
  "4": "block-device",
  "5": "directory",
  "6": "fifo",
  "7": "regular",
};

function readKind(header: TarHeader, rawPath: ByteString): LayerEntry["kind"] {
  const letter = String.fromCharCode(header.type);
  const kind = kinds[letter];
  if (kind === "regular") return rawPath.endsWith("/") ? readKindOfSlash(header, rawPath) : kind;
  if (kind !== undefined) return kind;
  if (letter === "S") throw sparseFile();
  const type = JSON.stringify(letter);
  throw new OsdeployError("unsupported", `Cannot read tar entry ${inQuotes(rawPath)}: its type ${type} is unknown`);
}

/** What a regular file with a slash at its end is. */
function readKindOfSlash({ type, format }: TarHeader, rawPath: ByteString): "directory" | "regular" {
  if (format === "v7") return "directory";
  if (type === 0) throw refuse(rawPath, "it is a file, and to other readers a directory");
  return "regular";
}

function readStat(header: TarHeader, extension: Extension): Stat {
  return {
    permissions: header.permissions,
    uid: extension.uid ?? header.uid,
    gid: extension.gid ?? header.gid,
    mtimeSeconds: extension.mtime?.seconds ?? header.mtimeSeconds,
    mtimeNanoseconds: extension.mtime?.nanoseconds ?? 0,
  };
}

function readTarget(path: ByteString, target: ByteString): ByteString {
  if (target === "" || target.length > maxTarget || target.includes("\0")) {
    throw refuse(
      path,
      `it is a symlink with a target of ${target.length} bytes; 1 to ${maxTarget} without NUL are valid`,
    );
  }
  return target;
}

/** The kernel's 32-bit form of a device number: 12 bits of major around the low 8 of 20 bits of minor. */
function encodeDevice({ major, minor }: TarHeader): number {
  return ((minor & 0xff) | (major << 8) | ((minor & 0xf_ff00) << 12)) >>> 0;
}

function tooLarge(path: ByteString, sizeBytes: number): OsdeployError {
  return new OsdeployError("limit-exceeded", `Cannot read tar entry ${inQuotes(path)}: it has ${sizeBytes} bytes`, {
    facts: { bytes: sizeBytes },
  });
}

function refuse(path: ByteString, state: string): OsdeployError {
  return new OsdeployError("bad-format", `Cannot read tar entry ${inQuotes(path)}: ${state}`);
}
