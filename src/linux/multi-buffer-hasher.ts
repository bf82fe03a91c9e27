import { type BlockHasher, nodeBlockHasher, verityBlockSize } from "../core/digest/fs-verity.ts";
import { digestLength, type VerityAlgorithm } from "../core/digest/object-id.ts";
import { assert } from "../core/errors.ts";
import { addressOf, type ForeignLibrary, findLibrary, fixedBuffer, foreign } from "./foreign.ts";

/**
 * Intel's Multi-Buffer Crypto library hashes eight blocks at once in the lanes of AVX-512 registers: four times the
 * speed of the best single stream for sha512. Debian 12 has version 1, Debian 13 version 2; the fields used here lie at
 * the same offsets in both.
 *
 * @see https://github.com/intel/intel-ipsec-mb (lib/intel-ipsec-mb.h, versions 1.3 and 2.0)
 */
const libraryNames = ["libIPSec_MB.so.2", "libIPSec_MB.so.1"];

/** `IMB_ARCH` values from which more lanes are in use than a single stream is faster by: AVX2 and AVX-512. */
const leastArchitecture = 4;

/** Offsets of function pointers in `IMB_MGR`. */
const managerFields = { getNextBurst: 952, submitBurst: 960, flushBurst: 976 } as const;

/** Offsets in `IMB_JOB`. */
const jobFields = {
  source: 24,
  start: 56,
  length: 64,
  output: 88,
  outputLength: 96,
  cipher: 132,
  hash: 140,
  order: 144,
} as const;
/** Bytes of an `IMB_JOB` that are written here; both versions' are larger. */
const jobBytes = 148;

const cipherNull = 3;
const orderHashCipher = 2;
const hashNumbers: Readonly<Record<VerityAlgorithm, number>> = { sha256: 15, sha512: 17 };

/** Blocks handed to the library at once; its own limit is 128. */
const burstBlocks = 64;

/** With fewer blocks the lanes stay empty, and one stream after the other is faster. */
const leastBlocks: Readonly<Record<VerityAlgorithm, number>> = { sha256: 7, sha512: 3 };

/**
 * A block hasher on the multi-buffer library; undefined where the library or the processor's lanes are missing, or where
 * it does not give the digests that Node's own crypto gives. Belongs to one thread.
 */
export function multiBufferHasher(algorithm: VerityAlgorithm): BlockHasher | undefined {
  const manager = process.arch === "x64" ? openManager() : undefined;
  if (manager === undefined) return undefined;
  const burst = new BurstHasher(algorithm, manager);
  const hashFew = nodeBlockHasher(algorithm);
  const hash: BlockHasher = (blocks, target, targetOffset) => {
    if (blocks.length < leastBlocks[algorithm] * verityBlockSize) hashFew(blocks, target, targetOffset);
    else burst.hash(blocks, target, targetOffset);
  };
  return agrees(hash, hashFew, algorithm) ? hash : undefined;
}

/** The library's state for one thread: its address, its memory, and three of its functions. */
interface Manager {
  /** Held, because the library is unloaded with it. */
  readonly library: ForeignLibrary;
  readonly address: bigint;
  readonly memory: DataView;
  readonly getNextBurst: (manager: bigint, count: number, jobs: Uint8Array) => number;
  readonly submitBurst: (manager: bigint, count: number, jobs: Uint8Array) => number;
  readonly flushBurst: (manager: bigint, most: number, jobs: Uint8Array) => number;
}

function openManager(): Manager | undefined {
  const library = findLibrary(libraryNames, ["alloc_mb_mgr", "init_mb_mgr_auto", "imb_get_mb_mgr_size"]);
  if (library === undefined) return undefined;
  const address: bigint | null = library.func("alloc_mb_mgr", "void *", ["uint64"])(0);
  if (address === null) return undefined;
  const architecture = fixedBuffer(4);
  library.func("init_mb_mgr_auto", "void", ["void *", "void *"])(address, architecture);
  if (architecture.readUInt32LE() < leastArchitecture) return undefined;
  const memory = new DataView(foreign().view(address, Number(library.func("imb_get_mb_mgr_size", "size_t", [])())));
  const prototype = foreign().proto("uint32 (void *manager, uint32 count, void *jobs)");
  const functionAt = (offset: number) => foreign().decode(memory.getBigUint64(offset, true), prototype);
  return {
    library,
    address,
    memory,
    getNextBurst: functionAt(managerFields.getNextBurst),
    submitBurst: functionAt(managerFields.submitBurst),
    flushBurst: functionAt(managerFields.flushBurst),
  };
}

class BurstHasher {
  readonly #manager: Manager;
  readonly #hashLength: number;
  readonly #hashNumber: number;
  /** Pointers to the jobs of one burst, which lie in the manager's memory. */
  readonly #jobs = fixedBuffer(burstBlocks * 8);
  readonly #done = fixedBuffer(burstBlocks * 8);
  readonly #output = fixedBuffer(burstBlocks * 64);
  readonly #outputAddress = Number(addressOf(this.#output));

  constructor(algorithm: VerityAlgorithm, manager: Manager) {
    this.#manager = manager;
    this.#hashLength = digestLength(algorithm);
    this.#hashNumber = hashNumbers[algorithm];
  }

  hash(blocks: Uint8Array, target: Uint8Array, targetOffset: number): void {
    const address = Number(addressOf(blocks));
    const total = blocks.length / verityBlockSize;
    for (let block = 0; block < total; block += burstBlocks) {
      const count = Math.min(burstBlocks, total - block);
      this.#hashBurst(address + block * verityBlockSize, count);
      target.set(this.#output.subarray(0, count * this.#hashLength), targetOffset + block * this.#hashLength);
    }
  }

  #hashBurst(address: number, count: number): void {
    const { address: manager, getNextBurst, submitBurst, flushBurst } = this.#manager;
    assert(getNextBurst(manager, count, this.#jobs) === count, "an empty queue has room for a burst");
    for (let i = 0; i < count; i++) this.#describe(i, address + i * verityBlockSize);
    let done = submitBurst(manager, count, this.#jobs);
    while (done < count) {
      const flushed = flushBurst(manager, count - done, this.#done);
      assert(flushed > 0, "a flush gives back the jobs that were submitted");
      done += flushed;
    }
  }

  /** Fills in job `index` of the burst: the sha of one block. */
  #describe(index: number, address: number): void {
    const { memory } = this.#manager;
    const job = Number(this.#jobs.readBigUInt64LE(index * 8) - this.#manager.address);
    assert(job > 0 && job + jobBytes <= memory.byteLength, "jobs lie in the manager's memory");
    writeAddress(memory, job + jobFields.source, address);
    writeAddress(memory, job + jobFields.start, 0);
    writeAddress(memory, job + jobFields.length, verityBlockSize);
    writeAddress(memory, job + jobFields.output, this.#outputAddress + index * this.#hashLength);
    writeAddress(memory, job + jobFields.outputLength, this.#hashLength);
    memory.setUint32(job + jobFields.cipher, cipherNull, true);
    memory.setUint32(job + jobFields.hash, this.#hashNumber, true);
    memory.setUint32(job + jobFields.order, orderHashCipher, true);
  }
}

/** A 64-bit value below 2^53 in two halves: BigInts would cost more than the rest of the job. */
function writeAddress(memory: DataView, offset: number, value: number): void {
  memory.setUint32(offset, value % 0x1_0000_0000, true);
  memory.setUint32(offset + 4, Math.floor(value / 0x1_0000_0000), true);
}

/** The self test: every number of blocks up to one more than a burst, against Node's own crypto. */
function agrees(hash: BlockHasher, reference: BlockHasher, algorithm: VerityAlgorithm): boolean {
  const blocks = fixedBuffer((burstBlocks + 1) * verityBlockSize);
  for (let i = 0; i < blocks.length; i++) blocks[i] = (i * 31 + (i >> 8)) & 255;
  const length = digestLength(algorithm);
  const expected = new Uint8Array((burstBlocks + 1) * length);
  reference(blocks, expected, 0);
  return [1, 2, 3, 7, 8, 9, 16, burstBlocks, burstBlocks + 1].every((count) => {
    const got = new Uint8Array(count * length);
    hash(blocks.subarray(0, count * verityBlockSize), got, 0);
    return Buffer.compare(got, expected.subarray(0, count * length)) === 0;
  });
}
