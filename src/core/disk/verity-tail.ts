import { ByteWriter } from "../bytes/byte-writer.ts";
import { BlobHasher } from "../digest/blob-hasher.ts";
import { type BlockHasher, nodeBlockHasher, verityBlockSize } from "../digest/fs-verity.ts";
import { digestLength, type ObjectId, type VerityAlgorithm } from "../digest/object-id.ts";
import { assert } from "../errors.ts";

/** What ext4 keeps behind the end of a sealed file. */
export interface VerityTail {
  /** The file's fs-verity digest. */
  readonly digest: ObjectId;
  /** Where the tail starts in the file; between the data and it are zeros, or a hole. */
  readonly offsetBytes: number;
  readonly bytes: Uint8Array;
}

/** The Merkle tree starts at the next multiple of this. @see fs/ext4/verity.c of Linux */
const alignmentBytes = 65536;
const descriptorBytes = 256;

/**
 * Makes the tail of a sealed ext4 file from the file's bytes, which come in pieces: the Merkle tree, its levels from the root
 * down, then a block with the descriptor, whose last four bytes hold the descriptor's size.
 *
 * Holds the tree: a 64th of the file for sha512.
 *
 * @see https://docs.kernel.org/filesystems/ext4/verity.html
 */
export class VerityTailBuilder {
  readonly #algorithm: VerityAlgorithm;
  readonly #sizeBytes: number;
  readonly #hashBlocks: BlockHasher;
  readonly #hashLength: number;
  /** The hashes of all data blocks, with room to the end of their last block. */
  readonly #leaves: Uint8Array;
  readonly #pending = new Uint8Array(verityBlockSize);
  #pendingLength = 0;
  #hashed = 0;
  #seenBytes = 0;

  /** For a file of `sizeBytes`. */
  constructor(algorithm: VerityAlgorithm, sizeBytes: number, hashBlocks: BlockHasher = nodeBlockHasher(algorithm)) {
    this.#algorithm = algorithm;
    this.#sizeBytes = sizeBytes;
    this.#hashBlocks = hashBlocks;
    this.#hashLength = digestLength(algorithm);
    this.#leaves = new Uint8Array(wholeBlocks(Math.ceil(sizeBytes / verityBlockSize) * this.#hashLength));
  }

  /** Adds the next bytes of the file. They are not kept. */
  update(bytes: Uint8Array): void {
    this.#seenBytes += bytes.length;
    assert(this.#seenBytes <= this.#sizeBytes, "a file has as many bytes as it says");
    let rest = bytes;
    if (this.#pendingLength > 0) {
      const part = rest.subarray(0, verityBlockSize - this.#pendingLength);
      this.#pending.set(part, this.#pendingLength);
      this.#pendingLength += part.length;
      rest = rest.subarray(part.length);
      if (this.#pendingLength < verityBlockSize) return;
      this.#addBlocks(this.#pending);
    }
    const whole = rest.length - (rest.length % verityBlockSize);
    this.#addBlocks(rest.subarray(0, whole));
    this.#pending.set(rest.subarray(whole));
    this.#pendingLength = rest.length - whole;
  }

  /** The tail, after all bytes have come. */
  finish(): VerityTail {
    assert(this.#seenBytes === this.#sizeBytes, "all bytes of the file have come");
    if (this.#pendingLength > 0) this.#addBlocks(this.#pending.fill(0, this.#pendingLength));
    const levels = this.#levels();
    const descriptor = this.#descriptor(this.#rootHash(levels));
    const hasher = new BlobHasher(this.#algorithm);
    hasher.update(descriptor);
    const treeBytes = levels.reduce((sum, level) => sum + level.length, 0);
    const tail = new ByteWriter(treeBytes + verityBlockSize);
    for (const level of levels) {
      tail.bytes.set(level, tail.offset);
      tail.offset += level.length;
    }
    tail.bytes.set(descriptor, tail.offset);
    tail.offset += verityBlockSize - 4;
    tail.u32(descriptorBytes);
    return {
      digest: hasher.measured().replace(/^sha\d+:/, "") as ObjectId,
      offsetBytes: Math.ceil(this.#sizeBytes / alignmentBytes) * alignmentBytes,
      bytes: tail.bytes,
    };
  }

  #addBlocks(blocks: Uint8Array): void {
    this.#hashBlocks(blocks, this.#leaves, this.#hashed);
    this.#hashed += (blocks.length / verityBlockSize) * this.#hashLength;
  }

  /** The levels of the tree, the one below the root first; none for a file of one block, whose hash is the root. */
  #levels(): readonly Uint8Array[] {
    if (this.#sizeBytes <= verityBlockSize) return [];
    const levels = [this.#leaves];
    for (let below = this.#leaves; below.length > verityBlockSize; ) {
      const level = new Uint8Array(wholeBlocks((below.length / verityBlockSize) * this.#hashLength));
      this.#hashBlocks(below, level, 0);
      levels.unshift(level);
      below = level;
    }
    return levels;
  }

  #rootHash([top]: readonly Uint8Array[]): Uint8Array {
    if (top === undefined) return this.#leaves.subarray(0, this.#hashed);
    const root = new Uint8Array(this.#hashLength);
    this.#hashBlocks(top, root, 0);
    return root;
  }

  /** `struct fsverity_descriptor` without signature and salt. */
  #descriptor(rootHash: Uint8Array): Uint8Array {
    const writer = new ByteWriter(descriptorBytes);
    writer.u8(1);
    writer.u8(this.#algorithm === "sha256" ? 1 : 2);
    writer.u8(Math.log2(verityBlockSize));
    writer.offset = 8;
    writer.safe64(this.#sizeBytes);
    writer.bytes.set(rootHash, writer.offset);
    return writer.bytes;
  }
}

function wholeBlocks(length: number): number {
  return Math.ceil(length / verityBlockSize) * verityBlockSize;
}
