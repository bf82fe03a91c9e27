import { type ByteString, fromBytes, writeBytes } from "../core/bytes/byte-string.ts";
import { digestLength, type ObjectId, type VerityAlgorithm } from "../core/digest/object-id.ts";
import { forEachExternalFile } from "../core/erofs/external-files.ts";
import { xxh32 } from "../core/erofs/xxh32.ts";

/** An object that probably holds what comes next. */
export interface KnownFile {
  readonly id: ObjectId;
  readonly sizeBytes: number;
}

/** The files of an image that is already here, by path without leading slash. A hint only: bytes decide. */
export interface KnownFiles {
  get(path: ByteString): KnownFile | undefined;
}

/** The memory of a {@link KnownFileTable}, which threads share. */
export interface KnownFileMemory {
  readonly algorithm: VerityAlgorithm;
  /** Hash table: the number of a record plus one, or 0. Its length is a power of two. */
  readonly slots: SharedArrayBuffer;
  /** Records: two hashes of the path, the size (8 bytes), the id in hex. */
  readonly records: SharedArrayBuffer;
}

const headerBytes = 16;

interface FoundFile {
  readonly path: ByteString;
  /** `ab/cdef…`. */
  readonly backingPath: ByteString;
  readonly sizeBytes: number;
}

/**
 * {@link KnownFiles} in shared memory: built once, read by every thread, and a tenth of a map's size. Paths are kept as
 * two 32-bit hashes only; two paths that share both would merely give a wrong hint.
 */
export class KnownFileTable implements KnownFiles {
  readonly memory: KnownFileMemory;
  readonly #slots: Uint32Array;
  readonly #records: DataView;
  readonly #bytes: Uint8Array;
  readonly #idLength: number;
  readonly #recordBytes: number;

  constructor(memory: KnownFileMemory) {
    this.memory = memory;
    this.#slots = new Uint32Array(memory.slots);
    this.#records = new DataView(memory.records);
    this.#bytes = new Uint8Array(memory.records);
    this.#idLength = digestLength(memory.algorithm) * 2;
    this.#recordBytes = headerBytes + this.#idLength;
  }

  /** The files of the root image in `image`; those that name objects of another algorithm are left out. */
  static ofRootImage(image: Uint8Array, algorithm: VerityAlgorithm): KnownFileTable {
    const idLength = digestLength(algorithm) * 2;
    const files: FoundFile[] = [];
    forEachExternalFile(image, (path, backingPath, sizeBytes) => {
      if (backingPath.length === idLength + 1) files.push({ path, backingPath, sizeBytes });
    });
    const slots = 2 ** Math.ceil(Math.log2(files.length * 2 + 1));
    const table = new KnownFileTable({
      algorithm,
      slots: new SharedArrayBuffer(slots * 4),
      records: new SharedArrayBuffer(files.length * (headerBytes + idLength)),
    });
    files.forEach((file, number) => {
      table.#add(file, number);
    });
    return table;
  }

  get(path: ByteString): KnownFile | undefined {
    const [first, second] = hashesOf(path);
    for (let probe = 0; probe < probeLimit; probe++) {
      const record = this.#slots[(first + probe) & (this.#slots.length - 1)] ?? 0;
      if (record === 0) return undefined;
      const at = (record - 1) * this.#recordBytes;
      if (this.#records.getUint32(at) !== first || this.#records.getUint32(at + 4) !== second) continue;
      const idStart = at + headerBytes;
      const id: string = fromBytes(this.#bytes, idStart, idStart + this.#idLength);
      return { id: id as ObjectId, sizeBytes: this.#records.getFloat64(at + 8) };
    }
    return undefined;
  }

  #add({ path, backingPath, sizeBytes }: FoundFile, number: number): void {
    const [first, second] = hashesOf(path);
    const at = number * this.#recordBytes;
    this.#records.setUint32(at, first);
    this.#records.setUint32(at + 4, second);
    this.#records.setFloat64(at + 8, sizeBytes);
    writeBytes(`${backingPath.slice(0, 2)}${backingPath.slice(3)}` as ByteString, this.#bytes, at + headerBytes);
    for (let probe = 0; probe < probeLimit; probe++) {
      const slot = (first + probe) & (this.#slots.length - 1);
      if (this.#slots[slot] !== 0) continue;
      this.#slots[slot] = number + 1;
      return;
    }
  }
}

/** An image chooses its paths, and so could make all of them meet. A file that finds no place is only no hint. */
const probeLimit = 64;

function hashesOf(path: ByteString): readonly [number, number] {
  return [xxh32(path, 0) >>> 0, xxh32(path, 1) >>> 0];
}
