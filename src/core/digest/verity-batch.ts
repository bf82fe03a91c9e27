import { toHex } from "../bytes/hex.ts";
import { assert } from "../errors.ts";
import {
  type BlockHasher,
  nodeBlockHasher,
  verityBlockSize,
  verityDescriptorSize,
  writeVerityDescriptor,
} from "./fs-verity.ts";
import { digestLength, type ObjectId, type VerityAlgorithm } from "./object-id.ts";

/** Blocks that lie in one batch. */
const batchBlocks = 64;
/** Larger contents fill the lanes of a hasher by themselves. */
const maxContentBlocks = 8;

/** Contents of more bytes have no place in a {@link VerityBatch}. */
export const maxBatchedBytes = maxContentBlocks * verityBlockSize;

/** A content in a batch. */
interface Batched {
  /** Where in the batch it starts: the number of a block. */
  readonly block: number;
  readonly sizeBytes: number;
  readonly awaited: AwaitedContent;
}

/**
 * Measures many small contents together. Most files of an operating system have one block, and a hasher that takes eight
 * blocks at once has use for no more than one of them; here the blocks of many files lie side by side.
 *
 * Contents are copied: 256 KiB in all. What is in the batch is measured when there is no room for more, when somebody asks
 * for an id, and by {@link measure}; each content is then handed to `onMeasured`, in order, as a view that is good during
 * the call.
 */
export class VerityBatch {
  readonly #algorithm: VerityAlgorithm;
  readonly #hashBlocks: BlockHasher;
  readonly #onMeasured: (id: ObjectId, bytes: Uint8Array) => void;
  readonly #hashLength: number;
  readonly #blocks = new Uint8Array(batchBlocks * verityBlockSize);
  /** Of the blocks; then of whatever is hashed next. */
  readonly #hashes: Uint8Array;
  #contents: Batched[] = [];
  #usedBlocks = 0;

  constructor(
    algorithm: VerityAlgorithm,
    onMeasured: (id: ObjectId, bytes: Uint8Array) => void,
    hashBlocks: BlockHasher = nodeBlockHasher(algorithm),
  ) {
    this.#algorithm = algorithm;
    this.#hashBlocks = hashBlocks;
    this.#onMeasured = onMeasured;
    this.#hashLength = digestLength(algorithm);
    this.#hashes = new Uint8Array(batchBlocks * this.#hashLength);
  }

  /** Takes a content of 1 to {@link maxBatchedBytes} bytes. What `onMeasured` throws of others comes out here too. */
  add(bytes: Uint8Array): { readonly id: ObjectId } {
    const count = blocksOf(bytes.length);
    assert(count > 0 && count <= maxContentBlocks, "only small contents are measured together");
    if (this.#usedBlocks + count > batchBlocks) this.measure();
    const start = this.#usedBlocks * verityBlockSize;
    this.#blocks.set(bytes, start);
    this.#blocks.fill(0, start + bytes.length, start + count * verityBlockSize);
    const awaited = new AwaitedContent(() => this.measure());
    this.#contents.push({ block: this.#usedBlocks, sizeBytes: bytes.length, awaited });
    this.#usedBlocks += count;
    return awaited;
  }

  /** Measures all that is in the batch, which is empty then, also when `onMeasured` throws. */
  measure(): void {
    const hex = this.#digests();
    const contents = this.#contents;
    this.clear();
    let at = 0;
    for (const content of contents) {
      this.#settle(content, hex.slice(at, at + 2 * this.#hashLength) as ObjectId);
      at += 2 * this.#hashLength;
    }
  }

  #settle({ block, sizeBytes, awaited }: Batched, id: ObjectId): void {
    awaited.settle(id);
    const start = block * verityBlockSize;
    this.#onMeasured(id, this.#blocks.subarray(start, start + sizeBytes));
  }

  /** Drops all that is in the batch. */
  clear(): void {
    this.#contents = [];
    this.#usedBlocks = 0;
  }

  /** Hex of all digests, one after the other: each conversion has its price. */
  #digests(): string {
    this.#hashBlocks(this.#descriptors(this.#roots()), this.#hashes, 0, verityDescriptorSize);
    return toHex(this.#hashes.subarray(0, this.#contents.length * this.#hashLength));
  }

  /** The hashes at the top of the contents' trees: of a lone block that of the block, else that of all their hashes. */
  #roots(): Uint8Array {
    const length = this.#hashLength;
    this.#hashBlocks(this.#blocks.subarray(0, this.#usedBlocks * verityBlockSize), this.#hashes, 0);
    const levels = this.#levels();
    const roots = new Uint8Array(this.#contents.length * length);
    let to = 0;
    for (const { block, sizeBytes } of this.#contents) {
      if (sizeBytes <= verityBlockSize) roots.set(this.#hashes.subarray(block * length, (block + 1) * length), to);
      to += length;
    }
    this.#hashBlocks(levels, this.#hashes, 0);
    this.#putTallRoots(roots);
    return roots;
  }

  /** The block of hashes of each content that has several. */
  #levels(): Uint8Array {
    const length = this.#hashLength;
    const tall = this.#contents.filter(({ sizeBytes }) => sizeBytes > verityBlockSize);
    const levels = new Uint8Array(tall.length * verityBlockSize);
    let to = 0;
    for (const { block, sizeBytes } of tall) {
      levels.set(this.#hashes.subarray(block * length, (block + blocksOf(sizeBytes)) * length), to);
      to += verityBlockSize;
    }
    return levels;
  }

  #putTallRoots(roots: Uint8Array): void {
    const length = this.#hashLength;
    let from = 0;
    let to = 0;
    for (const { sizeBytes } of this.#contents) {
      if (sizeBytes > verityBlockSize) {
        roots.set(this.#hashes.subarray(from, from + length), to);
        from += length;
      }
      to += length;
    }
  }

  #descriptors(roots: Uint8Array): Uint8Array {
    const length = this.#hashLength;
    const algorithm = this.#algorithm;
    const descriptors = new Uint8Array(this.#contents.length * verityDescriptorSize);
    let from = 0;
    let to = 0;
    for (const { sizeBytes } of this.#contents) {
      const root = roots.subarray(from, from + length);
      writeVerityDescriptor(descriptors.subarray(to, to + verityDescriptorSize), { algorithm, sizeBytes, root });
      from += length;
      to += verityDescriptorSize;
    }
    return descriptors;
  }
}

/** Content in a batch, whose id is known when it is measured. */
class AwaitedContent {
  readonly #measure: () => void;
  #id: ObjectId | undefined;

  constructor(measure: () => void) {
    this.#measure = measure;
  }

  get id(): ObjectId {
    if (this.#id === undefined) this.#measure();
    assert(this.#id !== undefined, "content whose id is asked for was not dropped");
    return this.#id;
  }

  settle(id: ObjectId): void {
    this.#id = id;
  }
}

function blocksOf(sizeBytes: number): number {
  return Math.ceil(sizeBytes / verityBlockSize);
}
