import { type ByteString, fromBytes, fromText } from "../core/bytes/byte-string.ts";
import { type BlockHasher, VerityHasher, verityDigest } from "../core/digest/fs-verity.ts";
import type { ObjectId } from "../core/digest/object-id.ts";
import { OsdeployError } from "../core/errors.ts";
import { maxInlineBytes } from "../core/tar/tar-scanner.ts";
import type { FileContent } from "../core/tree/inode.ts";
import { inForeignWords } from "../linux/errno.ts";
import { type ContentSource, copyContent, readPieces, withOpen } from "../linux/file-content.ts";
import type { Fd, FileStat, LinuxFiles, Path } from "../linux/linux.ts";
import { childPath, pathBelow } from "../linux/path.ts";

/** Files up to this size are read once and written from memory; larger ones are read again when they are copied. */
const wholeBytes = 4 * 1024 * 1024;

/**
 * The directory of `mkcomposefs --digest-store`: contents as `ab/cdef…`, named by their sha256 fs-verity digest, and
 * nothing else. Without a path it only says what would be in it.
 */
export class DigestStore {
  readonly #files: LinuxFiles;
  readonly #path: Path | undefined;
  readonly #hashBlocks: BlockHasher | undefined;
  readonly #buffer = new Uint8Array(wholeBytes);
  readonly #present = new Set<ObjectId>();
  readonly #directories = new Set<string>();

  constructor(files: LinuxFiles, path: Path | undefined, hashBlocks?: BlockHasher) {
    this.#files = files;
    this.#path = path && ((path.replace(/\/+$/, "") || "/") as Path);
    this.#hashBlocks = hashBlocks;
  }

  /** What a root image says of the file: content of up to 64 bytes inline, else the digest and where it lies. */
  add(path: Path, stat: FileStat): FileContent {
    if (stat.sizeBytes > wholeBytes) return this.#addLarge(path, stat);
    const bytes = this.#buffer.subarray(0, readInto(this.#files, path, this.#buffer));
    if (bytes.length <= maxInlineBytes) return { kind: "inline", bytes: fromBytes(bytes) };
    const id = verityDigest("sha256", bytes, this.#hashBlocks);
    this.#store(id, { kind: "bytes", bytes });
    return external(id, bytes.length);
  }

  #addLarge(path: Path, stat: FileStat): FileContent {
    const hasher = new VerityHasher("sha256", this.#hashBlocks);
    let sizeBytes = 0;
    withOpen(this.#files, path, "read", (fd) =>
      readPieces(this.#files, fd, (piece) => {
        hasher.update(piece);
        sizeBytes += piece.length;
      }),
    );
    if (sizeBytes !== stat.sizeBytes) {
      throw new OsdeployError("system", `Cannot read ${JSON.stringify(path)}: it changes while it is read`);
    }
    const id = hasher.digest();
    this.#store(id, { kind: "file", path });
    return external(id, sizeBytes);
  }

  #store(id: ObjectId, content: ContentSource): void {
    if (this.#path === undefined || this.#present.has(id)) return;
    this.#present.add(id);
    try {
      this.#write(pathBelow(this.#path, id.slice(0, 2)), id.slice(2), content);
    } catch (cause) {
      throw inForeignWords("cannot fill store", cause);
    }
  }

  /** Written under another name first: a file under its digest's name is always whole. */
  #write(directory: Path, name: string, content: ContentSource): void {
    const target = pathBelow(directory, name);
    if (!this.#directories.has(directory)) this.#makeDirectory(directory);
    if (this.#files.lstatIfExists(target) !== undefined) return;
    const temporary = `${target}.tmp` as Path;
    if (this.#files.lstatIfExists(temporary) !== undefined) this.#files.unlink(temporary);
    if (content.kind === "bytes") {
      this.#files.writeNewFile(temporary, content.bytes, 0o644);
    } else {
      copyContent(this.#files, content, temporary);
      this.#files.setPermissions(temporary, 0o644);
    }
    this.#files.rename(temporary, target);
  }

  /** With those above it that are missing. */
  #makeDirectory(path: Path): void {
    if (this.#files.lstatIfExists(path) === undefined) {
      const above = path.replace(/\/*[^/]*$/, "") as Path;
      if (above !== "" && !this.#directories.has(above)) this.#makeDirectory(above);
      this.#files.makeDirectory(path, 0o755);
    }
    this.#directories.add(path);
  }
}

function external(id: ObjectId, sizeBytes: number): FileContent {
  const backingPath: ByteString = childPath(fromText(id.slice(0, 2)), fromText(id.slice(2)));
  return { kind: "external", sizeBytes: BigInt(sizeBytes), backingPath, digest: id };
}

/** Reads the whole file into `buffer`, which has room for it, and says how much there was. */
function readInto(files: LinuxFiles, path: Path, buffer: Uint8Array): number {
  return withOpen(files, path, "read", (fd) => {
    let offset = 0;
    for (;;) {
      const length = readSome(files, fd, buffer, offset);
      if (length === 0) return offset;
      offset += length;
    }
  });
}

function readSome(files: LinuxFiles, fd: Fd, buffer: Uint8Array, offset: number): number {
  return offset === buffer.length ? 0 : files.read(fd, buffer, { offset, length: buffer.length - offset });
}
