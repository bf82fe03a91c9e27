import { hash } from "node:crypto";
import { type ByteString, writeBytes } from "../bytes/byte-string.ts";
import { assert } from "../errors.ts";
import { digestLength, type ObjectId, type VerityAlgorithm } from "./object-id.ts";

/** Bytes in a block of the Merkle tree. The object names of every composefs repo depend on it. */
export const verityBlockSize = 4096;

/** Bytes in what is hashed last: it names the root of the tree, and the size of the file. */
export const verityDescriptorSize = 256;

/**
 * Hashes each block of `blocks` (whole blocks only) and writes the hashes one after the other to `target[targetOffset…]`.
 * A block has 4096 bytes, or `blockBytes`. `src/linux` can bring a faster one than {@link nodeBlockHasher}.
 */
export type BlockHasher = (blocks: Uint8Array, target: Uint8Array, targetOffset: number, blockBytes?: number) => void;

/** The block hasher of Node's own crypto. The hash comes as a latin1 string because a Buffer for each costs more. */
export function nodeBlockHasher(algorithm: VerityAlgorithm): BlockHasher {
  const length = digestLength(algorithm);
  return (blocks, target, targetOffset, blockBytes = verityBlockSize) => {
    let to = targetOffset;
    for (let at = 0; at < blocks.length; at += blockBytes) {
      writeBytes(hashBlock(algorithm, blocks.subarray(at, at + blockBytes)), target, to);
      to += length;
    }
  };
}

function hashBlock(algorithm: VerityAlgorithm, block: Uint8Array): ByteString {
  const latin1: string = hash(algorithm, block, "binary");
  return latin1 as ByteString;
}

/**
 * The fs-verity digest of `bytes`: 4096-byte blocks, no salt.
 *
 * The same that the kernel measures for a file of this content. Constant memory besides `bytes`.
 *
 * @see https://docs.kernel.org/filesystems/fsverity.html
 */
export function verityDigest(
  algorithm: VerityAlgorithm,
  bytes: Uint8Array,
  hashBlocks: BlockHasher = nodeBlockHasher(algorithm),
): ObjectId {
  const hasher = new VerityHasher(algorithm, hashBlocks);
  hasher.update(bytes);
  return hasher.digest();
}

/** What takes the place of a root in the descriptor of an empty file. */
const noRoot = new Uint8Array(0);

/** Fills in a descriptor, which is zero: everything that a digest says of a file. */
export function writeVerityDescriptor(
  descriptor: Uint8Array,
  file: { readonly algorithm: VerityAlgorithm; readonly sizeBytes: number; readonly root: Uint8Array },
): void {
  descriptor[0] = 1;
  descriptor[1] = file.algorithm === "sha256" ? 1 : 2;
  descriptor[2] = Math.log2(verityBlockSize);
  for (let byte = 0, rest = file.sizeBytes; rest > 0; byte++, rest = Math.floor(rest / 256)) {
    descriptor[8 + byte] = rest % 256;
  }
  descriptor.set(file.root, 16);
}

/** One level of the Merkle tree: the hashes of the level below that are not yet hashed themselves. */
interface Level {
  readonly block: Uint8Array;
  used: number;
}

/** The fs-verity digest of bytes that come in pieces. Holds one block for each level: 16 KiB for 100 GB. */
export class VerityHasher {
  readonly #algorithm: VerityAlgorithm;
  readonly #hashBlocks: BlockHasher;
  readonly #hashLength: number;
  /** The start of a data block whose end has not come yet. */
  readonly #pending = new Uint8Array(verityBlockSize);
  readonly #levels: Level[] = [];
  #pendingLength = 0;
  #sizeBytes = 0;

  constructor(algorithm: VerityAlgorithm, hashBlocks: BlockHasher = nodeBlockHasher(algorithm)) {
    this.#algorithm = algorithm;
    this.#hashBlocks = hashBlocks;
    this.#hashLength = digestLength(algorithm);
  }

  /** Adds the next bytes of the file. They are not kept. */
  update(bytes: Uint8Array): void {
    this.#sizeBytes += bytes.length;
    let at = 0;
    if (this.#pendingLength > 0) {
      at = Math.min(verityBlockSize - this.#pendingLength, bytes.length);
      this.#pending.set(bytes.subarray(0, at), this.#pendingLength);
      this.#pendingLength += at;
      if (this.#pendingLength < verityBlockSize) return;
      this.#addBlocks(this.#pending);
    }
    const end = bytes.length - ((bytes.length - at) % verityBlockSize);
    if (end > at) this.#addBlocks(bytes.subarray(at, end));
    this.#pending.set(bytes.subarray(end));
    this.#pendingLength = bytes.length - end;
  }

  /** The digest of all bytes so far; nothing can be added after it. */
  digest(): ObjectId {
    const descriptor = new Uint8Array(verityDescriptorSize);
    const root = this.#sizeBytes > 0 ? this.#root() : noRoot;
    writeVerityDescriptor(descriptor, { algorithm: this.#algorithm, sizeBytes: this.#sizeBytes, root });
    return hash(this.#algorithm, descriptor, "hex") as ObjectId;
  }

  /** Hashes whole `blocks` of data into the lowest level. */
  #addBlocks(blocks: Uint8Array): void {
    let at = 0;
    while (at < blocks.length) {
      const level = this.#levelWithRoom(0);
      const room = ((verityBlockSize - level.used) / this.#hashLength) * verityBlockSize;
      const part = blocks.subarray(at, at + room);
      this.#hashInto(level, part);
      at += part.length;
    }
  }

  /** A full level is hashed into the next only when more comes: the last block of each level is the root's path. */
  #levelWithRoom(depth: number): Level {
    const level = this.#levels[depth];
    if (level === undefined) {
      const fresh = { block: new Uint8Array(verityBlockSize), used: 0 };
      this.#levels.push(fresh);
      return fresh;
    }
    if (level.used === verityBlockSize) {
      this.#hashInto(this.#levelWithRoom(depth + 1), level.block);
      level.used = 0;
    }
    return level;
  }

  #hashInto(level: Level, blocks: Uint8Array): void {
    this.#hashBlocks(blocks, level.block, level.used);
    level.used += (blocks.length / verityBlockSize) * this.#hashLength;
  }

  /** The hash at the top of the tree, of a file that is not empty. */
  #root(): Uint8Array {
    if (this.#pendingLength > 0) this.#addBlocks(this.#pending.fill(0, this.#pendingLength));
    const [lowest] = this.#levels;
    assert(lowest !== undefined, "a file that is not empty has a block, and so a hash of it");
    let level = lowest;
    for (let depth = 1; level.used > this.#hashLength || depth < this.#levels.length; depth++) {
      const above = this.#levelWithRoom(depth);
      this.#hashInto(above, level.block.fill(0, level.used));
      level = above;
    }
    return level.block.subarray(0, level.used);
  }
}
