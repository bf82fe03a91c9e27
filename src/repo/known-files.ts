import type { ByteString } from "../core/bytes/byte-string.ts";
import { digestLength, type ObjectId, type VerityAlgorithm } from "../core/digest/object-id.ts";
import { FileLookup, type FoundFile } from "../core/erofs/file-lookup.ts";
import { unlessFailing } from "../core/errors.ts";

/** An object that probably holds what comes next. */
export interface KnownFile {
  readonly id: ObjectId;
  readonly sizeBytes: number;
}

/** The files of an image that is already here, by path without leading slash. A hint only: bytes decide. */
export interface KnownFiles {
  get(path: ByteString): KnownFile | undefined;
}

/** The memory of {@link RootImageFiles}, which threads share. */
export interface KnownFileMemory {
  readonly algorithm: VerityAlgorithm;
  /** The root image. */
  readonly image: SharedArrayBuffer;
}

/**
 * {@link KnownFiles} straight from a root image, which is read once and shared by every thread. Nothing checks it: a wrong
 * image gives wrong hints or none.
 */
export class RootImageFiles implements KnownFiles {
  readonly memory: KnownFileMemory;
  readonly #lookup: FileLookup;
  readonly #pathLength: number;

  /** @throws OsdeployError `bad-format` or `unsupported` when the memory holds no root image. */
  constructor(memory: KnownFileMemory) {
    this.memory = memory;
    this.#lookup = new FileLookup(new Uint8Array(memory.image));
    this.#pathLength = digestLength(memory.algorithm) * 2 + 1;
  }

  /** Those of the root image in `image`, which is copied. @throws OsdeployError when it is none. */
  static of(image: Uint8Array, algorithm: VerityAlgorithm): RootImageFiles {
    const memory = new SharedArrayBuffer(image.length);
    new Uint8Array(memory).set(image);
    return new RootImageFiles({ algorithm, image: memory });
  }

  get(path: ByteString): KnownFile | undefined {
    const found = this.#find(path);
    if (found?.backingPath.length !== this.#pathLength) return undefined;
    const id: string = found.backingPath.slice(0, 2) + found.backingPath.slice(3);
    return { id: id as ObjectId, sizeBytes: found.sizeBytes };
  }

  #find(path: ByteString): FoundFile | undefined {
    return unlessFailing(() => this.#lookup.find(path));
  }
}
