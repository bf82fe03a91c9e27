import { type BlockHasher, VerityHasher, verityDigest } from "../core/digest/fs-verity.ts";
import type { ObjectId, VerityAlgorithm } from "../core/digest/object-id.ts";
import { maxBatchedBytes, VerityBatch } from "../core/digest/verity-batch.ts";
import type { AwaitedObject } from "../core/splitstream/splitstream-writer.ts";
import type { Fd, LinuxFiles, Path } from "../linux/linux.ts";
import { pathBelow } from "../linux/path.ts";
import {
  digestFile,
  isVouchedFor,
  judgeObject,
  newScratch,
  type ObjectStore,
  type RightContent,
  readWhole,
} from "./object-check.ts";
import { objectPath } from "./repo-paths.ts";

/** Where and how one worker stages objects; plain data, so that it can be handed to a worker. */
export interface StagingOptions extends ObjectStore {
  /** A directory of this staging alone, on the repo's file system: {@link StagingRun.newDirectory}. */
  readonly directory: Path;
  /** Whether the repo had no object when the run began, so that none needs to be looked for: {@link hasObjects}. */
  readonly isFresh: boolean;
}

/** Content that is complete and digested, but neither durable nor named. */
export interface StagedObject {
  readonly id: ObjectId;
  readonly path: Path;
  readonly sizeBytes: number;
  /** Whether the repo holds this object damaged, so that it is to be replaced. */
  readonly replaces: boolean;
}

/** The permissions of an object; composefs-rs gives them too. */
const objectPermissions = 0o644;

/**
 * Takes content in, gives each a file in its own staging directory, and names it by its digest. Knows what it has already
 * staged and what the repo has, so that the same content is written once. Runs in a worker: it publishes nothing.
 */
export class ObjectStaging {
  readonly #files: LinuxFiles;
  readonly #options: StagingOptions;
  readonly #hashBlocks: BlockHasher | undefined;
  /** Everything that needs no further file: staged here before, or found sound in the repo. */
  readonly #settled = new Set<ObjectId>();
  #staged: StagedObject[] = [];
  /** The files of one staging come from one file system: one that cannot clone is not asked for each of them. */
  #canClone = true;
  readonly #scratch = newScratch();
  #count = 0;
  /** Small contents that are not staged yet. */
  readonly #batch: VerityBatch;

  /** `hashBlocks` replaces Node's own block hasher by a faster one. */
  constructor(files: LinuxFiles, options: StagingOptions, hashBlocks?: BlockHasher) {
    this.#files = files;
    this.#options = options;
    this.#hashBlocks = hashBlocks;
    this.#batch = new VerityBatch(options.algorithm, (id, bytes) => this.#stage(id, bytes), hashBlocks);
  }

  /** What names the objects. */
  get algorithm(): VerityAlgorithm {
    return this.#options.algorithm;
  }

  /** Stages content that lies in memory as a whole. The bytes are not kept. */
  add(bytes: Uint8Array): ObjectId {
    const id = verityDigest(this.#options.algorithm, bytes, this.#hashBlocks);
    this.#stage(id, bytes);
    return id;
  }

  /**
   * Stages content that lies in memory as a whole and is not empty; small ones some time later, many together. Whoever
   * asks one of them for its id has all that wait staged, and gets the error where that fails.
   */
  addAwaited(bytes: Uint8Array): AwaitedObject {
    return bytes.length > maxBatchedBytes ? { id: this.add(bytes) } : this.#batch.add(bytes);
  }

  #stage(id: ObjectId, bytes: Uint8Array): void {
    const state = this.#stateOf(id, { kind: "bytes", bytes });
    if (state === "settled") return;
    const path = this.#newPath();
    this.#files.writeNewFile(path, bytes, objectPermissions);
    this.#record({ id, path, sizeBytes: bytes.length, replaces: state === "damaged" });
  }

  /** Stages content that comes in pieces. Finish or abandon it. */
  begin(): ObjectWriter {
    const path = this.#newPath();
    const fd = this.#files.open(path, "create", objectPermissions);
    const hasher = new VerityHasher(this.#options.algorithm, this.#hashBlocks);
    return new ObjectWriter({ files: this.#files, fd, path, hasher }, (id, sizeBytes) =>
      this.#admit({ id, path, sizeBytes }),
    );
  }

  /**
   * Stages the content of a file: shares its blocks where the file system can, else copies them. The digest is that of
   * the copy, and so are the bytes that `onPiece` sees, so a file that changes meanwhile does no harm. Read once.
   */
  addFile(
    source: Path,
    onPiece: (piece: Uint8Array) => void = () => {},
  ): { readonly id: ObjectId; readonly sizeBytes: number } {
    const path = this.#clone(source);
    if (path === undefined) return this.#copy(source, onPiece);
    const digested = digestFile(this.#files, path, {
      algorithm: this.#options.algorithm,
      hashBlocks: this.#hashBlocks,
      scratch: this.#scratch,
      onPiece,
    });
    this.#admit({ path, ...digested });
    return digested;
  }

  /**
   * Where an object of the repo would lie, to compare bytes with if it is there; undefined when the repo is secure and the
   * kernel does not vouch for it.
   */
  comparablePath(id: ObjectId): Path | undefined {
    return isVouchedFor(this.#files, this.#options, id) ? this.pathOf(id) : undefined;
  }

  /** Whether the repo has an object of that name, for which the kernel vouches if the repo is secure. */
  has(id: ObjectId): boolean {
    const { isFresh, secure } = this.#options;
    if (isFresh) return false;
    return secure
      ? isVouchedFor(this.#files, this.#options, id)
      : this.#files.lstatIfExists(this.pathOf(id)) !== undefined;
  }

  /** Where an object of the repo lies, if it is there. */
  pathOf(id: ObjectId): Path {
    return objectPath(this.#options.repoPath, id);
  }

  /** Hands over what was staged since the last call. Each object comes once, so one staging can serve many layers. */
  take(): readonly StagedObject[] {
    this.#batch.measure();
    const staged = this.#staged;
    this.#staged = [];
    return staged;
  }

  /** Drops what was staged since the last {@link take}: a layer turned out to be wrong. */
  discard(): void {
    this.#batch.clear();
    for (const { id, path } of this.take()) {
      this.#settled.delete(id);
      this.#files.unlink(path);
    }
  }

  /** Where the clone lies; undefined where the file system makes none. */
  #clone(source: Path): Path | undefined {
    if (!this.#canClone) return undefined;
    const path = this.#newPath();
    this.#canClone = this.#files.cloneFile(source, path, objectPermissions);
    return this.#canClone ? path : undefined;
  }

  #copy(source: Path, onPiece: (piece: Uint8Array) => void): { readonly id: ObjectId; readonly sizeBytes: number } {
    const writer = this.begin();
    try {
      readWhole(this.#files, { path: source, scratch: this.#scratch }, (piece) => {
        writer.write(piece);
        onPiece(piece);
      });
    } catch (error) {
      writer.abandon();
      throw error;
    }
    return writer.finish();
  }

  #stateOf(id: ObjectId, content: RightContent): "settled" | "damaged" | "missing" {
    if (this.#settled.has(id)) return "settled";
    if (this.#options.isFresh) return "missing";
    const state = judgeObject(this.#files, this.#options, { id, content, scratch: this.#scratch });
    if (state !== "sound") return state;
    this.#settled.add(id);
    return "settled";
  }

  /** Decides about a complete file in the staging directory. */
  #admit(file: { readonly id: ObjectId; readonly path: Path; readonly sizeBytes: number }): void {
    const state = this.#stateOf(file.id, { kind: "file", path: file.path });
    if (state === "settled") this.#files.unlink(file.path);
    else this.#record({ replaces: state === "damaged", ...file });
  }

  #record(object: StagedObject): void {
    this.#settled.add(object.id);
    this.#staged.push(object);
  }

  #newPath(): Path {
    return stagedPath(this.#options.directory, this.#count++);
  }
}

/**
 * The name of the `index`th file of one staging. The layout of a staging directory is decided here and nowhere else: one
 * directory for each worker: two threads in one directory took up to five times the system time on ext4.
 */
function stagedPath(directory: Path, index: number): Path {
  return pathBelow(directory, index.toString(36));
}

/** One object while it is written. */
export class ObjectWriter {
  readonly #file: { readonly files: LinuxFiles; readonly fd: Fd; readonly path: Path; readonly hasher: VerityHasher };
  readonly #admit: (id: ObjectId, sizeBytes: number) => void;
  #sizeBytes = 0;

  constructor(
    file: { readonly files: LinuxFiles; readonly fd: Fd; readonly path: Path; readonly hasher: VerityHasher },
    admit: (id: ObjectId, sizeBytes: number) => void,
  ) {
    this.#file = file;
    this.#admit = admit;
  }

  /** Adds the next bytes: to the digest and to the file, not kept. */
  write(bytes: Uint8Array): void {
    this.#file.hasher.update(bytes);
    this.#file.files.write(this.#file.fd, bytes);
    this.#sizeBytes += bytes.length;
  }

  /** Ends the content and says its name. */
  finish(): { readonly id: ObjectId; readonly sizeBytes: number } {
    const id = this.#file.hasher.digest();
    this.#file.files.close(this.#file.fd);
    this.#admit(id, this.#sizeBytes);
    return { id, sizeBytes: this.#sizeBytes };
  }

  /** Drops the content. */
  abandon(): void {
    this.#file.files.close(this.#file.fd);
    this.#file.files.unlink(this.#file.path);
  }
}
