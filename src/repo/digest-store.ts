import { type BlockHasher, VerityHasher, verityDigest } from "../core/digest/fs-verity.ts";
import type { ObjectId } from "../core/digest/object-id.ts";
import { maxBatchedBytes, VerityBatch } from "../core/digest/verity-batch.ts";
import { OsdeployError } from "../core/errors.ts";
import { inForeignWords } from "../linux/errno.ts";
import { type ContentSource, copyContent, readPieces, withOpen } from "../linux/file-content.ts";
import type { LinuxFiles, Path } from "../linux/linux.ts";
import { childPath, pathBelow } from "../linux/path.ts";

/** Files up to this size are read once and written from memory; larger ones are read again when they are copied. */
const wholeBytes = 4 * 1024 * 1024;

/** Content that is in a {@link DigestStore}, or would be; asking for its id may first store it, with others. */
export interface StoredContent {
  readonly id: ObjectId;
}

/**
 * The directory of `mkcomposefs --digest-store`: contents as `ab/cdef…`, named by their sha256 fs-verity digest, and
 * nothing else. Without a path it only says what would be in it. Several threads can fill one directory.
 */
export class DigestStore {
  readonly #files: LinuxFiles;
  readonly #path: Path | undefined;
  readonly #hashBlocks: BlockHasher | undefined;
  readonly #temporarySuffix: string;
  readonly #buffer = new Uint8Array(wholeBytes + 1);
  readonly #batch: VerityBatch;
  /** The final names that are taken, in the directories that were looked into. */
  readonly #present = new Set<Path>();
  readonly #directories = new Set<Path>();

  /** `temporarySuffix` is for names that are not final, and other than that of any thread that fills the same directory. */
  constructor(
    files: LinuxFiles,
    path: Path | undefined,
    options: { readonly hashBlocks?: BlockHasher | undefined; readonly temporarySuffix: string },
  ) {
    this.#files = files;
    this.#path = path && ((path.replace(/\/+$/, "") || "/") as Path);
    this.#hashBlocks = options.hashBlocks;
    this.#temporarySuffix = options.temporarySuffix;
    const store = (id: ObjectId, bytes: Uint8Array) => this.#store(id, { kind: "bytes", bytes });
    this.#batch = new VerityBatch("sha256", store, options.hashBlocks);
  }

  /**
   * Stores the content of the file `path`, which had `sizeBytes` just before; that of small files some time later, many
   * together, and so are their errors told.
   *
   * @throws OsdeployError `system` when it has another size by now; what a read or write throws, in mkcomposefs's words.
   */
  add(path: Path, sizeBytes: number): StoredContent {
    if (sizeBytes > wholeBytes) return this.#addLarge(path, sizeBytes);
    const room = this.#buffer.subarray(0, sizeBytes + 1);
    const bytes = room.subarray(0, readInto(this.#files, path, room));
    if (bytes.length !== sizeBytes) throw changedFile(path);
    if (sizeBytes <= maxBatchedBytes) return this.#batch.add(bytes);
    const id = verityDigest("sha256", bytes, this.#hashBlocks);
    this.#store(id, { kind: "bytes", bytes });
    return { id };
  }

  #addLarge(path: Path, sizeBytes: number): StoredContent {
    const hasher = new VerityHasher("sha256", this.#hashBlocks);
    let readBytes = 0;
    withOpen(this.#files, path, "read", (fd) =>
      readPieces(this.#files, fd, (piece) => {
        hasher.update(piece);
        readBytes += piece.length;
      }),
    );
    if (readBytes !== sizeBytes) throw changedFile(path);
    const id = hasher.digest();
    this.#store(id, { kind: "file", path });
    return { id };
  }

  #store(id: ObjectId, content: ContentSource): void {
    if (this.#path === undefined) return;
    try {
      const directory = pathBelow(this.#path, id.slice(0, 2));
      if (!this.#directories.has(directory)) this.#openDirectory(directory);
      const target = pathBelow(directory, id.slice(2));
      if (this.#present.has(target)) return;
      this.#write(target, content);
      this.#present.add(target);
    } catch (cause) {
      throw inForeignWords("cannot fill store", cause);
    }
  }

  /** Written under another name first: a file under its digest's name is always whole. */
  #write(target: Path, content: ContentSource): void {
    const temporary = `${target}.tmp${this.#temporarySuffix}` as Path;
    // Only a run that was cut off leaves one. To ask for each file costs more than this.
    if (this.#present.has(temporary)) this.#files.unlink(temporary);
    if (content.kind === "bytes") {
      this.#files.writeNewFile(temporary, content.bytes, 0o644);
    } else {
      copyContent(this.#files, content, temporary);
      this.#files.setPermissions(temporary, 0o644);
    }
    this.#files.rename(temporary, target);
  }

  /** Learns what is in a directory of the store, or makes it. */
  #openDirectory(directory: Path): void {
    this.#makeDirectory(directory);
    for (const name of this.#files.readDirectory(directory)) this.#present.add(childPath(directory, name));
  }

  /** With those above it that are missing. */
  #makeDirectory(path: Path): void {
    if (this.#files.lstatIfExists(path) === undefined) {
      const above = path.replace(/\/*[^/]*$/, "") as Path;
      if (above !== "" && !this.#directories.has(above)) this.#makeDirectory(above);
      this.#makeUnlessMade(path);
    }
    this.#directories.add(path);
  }

  /** Another thread may be a little faster. */
  #makeUnlessMade(path: Path): void {
    try {
      this.#files.makeDirectory(path, 0o755);
    } catch (error) {
      if (!(error instanceof OsdeployError && error.code === "already-exists")) throw error;
    }
  }
}

function changedFile(path: Path): OsdeployError {
  return new OsdeployError("system", `Cannot read ${JSON.stringify(path)}: it changes while it is read`);
}

/** Reads the file into `buffer`, which has room for one byte more than is expected, and says how much there was. */
function readInto(files: LinuxFiles, path: Path, buffer: Uint8Array): number {
  return withOpen(files, path, "read", (fd) => {
    let offset = 0;
    // Where all that was expected has come, and no more with it, is the end.
    while (offset < buffer.length - 1) {
      const length = files.read(fd, buffer, { offset, length: buffer.length - offset });
      if (length === 0) break;
      offset += length;
    }
    return offset;
  });
}
