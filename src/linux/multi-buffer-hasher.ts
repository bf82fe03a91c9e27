import { type BlockHasher, nodeBlockHasher, verityBlockSize, verityDescriptorSize } from "../core/digest/fs-verity.ts";
import { digestLength, type VerityAlgorithm } from "../core/digest/object-id.ts";
import { assert } from "../core/errors.ts";
import { addressOf, type ForeignLibrary, findLibrary, fixedBuffer, foreign, keepAlive } from "./foreign.ts";

/**
 * Intel's Multi-Buffer Crypto library hashes eight blocks at once in the lanes of AVX-512 registers: four times the
 * speed of the best single stream for sha512. Debian 12 has version 1, Debian 13 version 2; the fields used here lie at
 * the same offsets in both, but for the suite, which only version 2 has.
 *
 * @see https://github.com/intel/intel-ipsec-mb (lib/intel-ipsec-mb.h, versions 1.3 and 2.0)
 */
const libraries: readonly Library[] = [
  { name: "libIPSec_MB.so.2", leastArchitecture: 2, hasSuites: true },
  { name: "libIPSec_MB.so.1", leastArchitecture: 4, hasSuites: false },
];

interface Library {
  readonly name: string;
  /** The version's `IMB_ARCH_AVX2`. With fewer lanes than AVX2 and AVX-512 have, one stream after the other is faster. */
  readonly leastArchitecture: number;
  /** Whether `imb_set_session` has to be asked for the number of a job's algorithms. */
  readonly hasSuites: boolean;
}

/** Offsets of function pointers in `IMB_MGR`. */
const managerFields = { getNextBurst: 952, submitBurst: 960, flushBurst: 976 } as const;

/** Offsets in `IMB_JOB`. */
const jobFields = {
  keyLength: 16,
  source: 24,
  start: 56,
  length: 64,
  output: 88,
  outputLength: 96,
  cipher: 132,
  direction: 136,
  hash: 140,
  order: 144,
  suite: 200,
} as const;
/** The part of an `IMB_JOB` that is written here. The other fields hold what the library's own tests left in them. */
const jobBytes = { withoutSuite: 148, withSuite: 208 } as const;

const cipherNull = 3;
const directionEncrypt = 1;
const orderHashCipher = 2;
const hashNumbers: Readonly<Record<VerityAlgorithm, number>> = { sha256: 15, sha512: 17 };

/** Blocks handed to the library at once; its own limit is 128. */
const burstBlocks = 64;

/** With fewer blocks the lanes stay empty, and one stream after the other is faster. */
const leastBlocks: Readonly<Record<VerityAlgorithm, number>> = { sha256: 7, sha512: 3 };

/**
 * The block hasher on the multi-buffer library; undefined where the library or the processor's lanes are missing, or
 * where it does not give the digests that Node's own crypto gives.
 *
 * Belongs to the thread that asks, which gets the same one each time: the library's state for it is 300 KB that are never
 * given back.
 */
export function multiBufferHasher(algorithm: VerityAlgorithm): BlockHasher | undefined {
  if (!hashers.has(algorithm)) hashers.set(algorithm, makeHasher(algorithm));
  return hashers.get(algorithm);
}

const hashers = new Map<VerityAlgorithm, BlockHasher | undefined>();

function makeHasher(algorithm: VerityAlgorithm): BlockHasher | undefined {
  if (process.arch !== "x64") return undefined;
  manager ??= findManager();
  const known = manager;
  if (known === undefined) return undefined;
  try {
    const hash = makeBurstHasher(algorithm, known);
    return agrees(hash, nodeBlockHasher(algorithm), algorithm) ? hash : undefined;
  } catch {
    // A library that is not as it is known here breaks an assertion of the self test. It only makes things faster.
    return undefined;
  }
}

/** This thread's. */
let manager: Manager | undefined;

function makeBurstHasher(algorithm: VerityAlgorithm, known: Manager): BlockHasher {
  const burst = new BurstHasher(algorithm, known);
  const hashFew = nodeBlockHasher(algorithm);
  return (blocks, target, targetOffset, blockBytes = verityBlockSize) => {
    if (blocks.length < leastBlocks[algorithm] * blockBytes) hashFew(blocks, target, targetOffset, blockBytes);
    else burst.hash(blocks, target, targetOffset, blockBytes);
  };
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
  /** Fills in a job's suite; undefined where jobs have none. */
  readonly setSession: ((manager: bigint, job: bigint) => number) | undefined;
}

function findManager(): Manager | undefined {
  for (const library of libraries) {
    const manager = openManager(library);
    if (manager !== undefined) return manager;
  }
  return undefined;
}

function openManager({ name, leastArchitecture, hasSuites }: Library): Manager | undefined {
  const library = findLibrary([name], ["alloc_mb_mgr", "init_mb_mgr_auto", "imb_get_mb_mgr_size"]);
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
    setSession: hasSuites ? library.func("imb_set_session", "uint32", ["void *", "void *"]) : undefined,
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
  readonly #suite: readonly [number, number] | undefined;

  constructor(algorithm: VerityAlgorithm, manager: Manager) {
    this.#manager = manager;
    this.#hashLength = digestLength(algorithm);
    this.#hashNumber = hashNumbers[algorithm];
    this.#suite = this.#askSuite();
  }

  /** The suite of all jobs of this hasher, from a job that is never submitted. */
  #askSuite(): readonly [number, number] | undefined {
    const { address, getNextBurst, memory, setSession } = this.#manager;
    if (setSession === undefined) return undefined;
    assert(getNextBurst(address, 1, this.#jobs) === 1, "an empty queue has room for a job");
    this.#describe(0, 0, verityBlockSize);
    assert(setSession(address, this.#jobs.readBigUInt64LE()) !== 0, "the library knows the algorithm");
    const at = this.#jobOffset(0) + jobFields.suite;
    return [memory.getUint32(at, true), memory.getUint32(at + 4, true)];
  }

  hash(blocks: Uint8Array, target: Uint8Array, targetOffset: number, blockBytes: number): void {
    assert(blocks.length % blockBytes === 0, "only whole blocks are hashed");
    const address = Number(addressOf(blocks));
    const total = blocks.length / blockBytes;
    for (let block = 0; block < total; block += burstBlocks) {
      const count = Math.min(burstBlocks, total - block);
      this.#hashBurst(address + block * blockBytes, count, blockBytes);
      target.set(this.#output.subarray(0, count * this.#hashLength), targetOffset + block * this.#hashLength);
    }
    keepAlive([blocks]);
  }

  #hashBurst(address: number, count: number, blockBytes: number): void {
    const { address: manager, getNextBurst, submitBurst, flushBurst } = this.#manager;
    assert(getNextBurst(manager, count, this.#jobs) === count, "an empty queue has room for a burst");
    for (let i = 0; i < count; i++) this.#describe(i, address + i * blockBytes, blockBytes);
    let done = submitBurst(manager, count, this.#jobs);
    while (done < count) {
      const flushed = flushBurst(manager, count - done, this.#done);
      assert(flushed > 0, "a flush gives back the jobs that were submitted");
      done += flushed;
    }
  }

  /** Fills in job `index` of the burst: the sha of one block. */
  #describe(index: number, address: number, blockBytes: number): void {
    const { memory } = this.#manager;
    const job = this.#jobOffset(index);
    writeAddress(memory, job + jobFields.source, address);
    writeAddress(memory, job + jobFields.start, 0);
    writeAddress(memory, job + jobFields.length, blockBytes);
    writeAddress(memory, job + jobFields.output, this.#outputAddress + index * this.#hashLength);
    writeAddress(memory, job + jobFields.outputLength, this.#hashLength);
    // The suite depends on these two as well, even where the cipher is none.
    writeAddress(memory, job + jobFields.keyLength, 0);
    memory.setUint32(job + jobFields.direction, directionEncrypt, true);
    memory.setUint32(job + jobFields.cipher, cipherNull, true);
    memory.setUint32(job + jobFields.hash, this.#hashNumber, true);
    memory.setUint32(job + jobFields.order, orderHashCipher, true);
    if (this.#suite === undefined) return;
    memory.setUint32(job + jobFields.suite, this.#suite[0], true);
    memory.setUint32(job + jobFields.suite + 4, this.#suite[1], true);
  }

  /** Where job `index` of the burst lies in the manager's memory. */
  #jobOffset(index: number): number {
    const { address, memory, setSession } = this.#manager;
    const job = Number(this.#jobs.readBigUInt64LE(index * 8) - address);
    const length = setSession === undefined ? jobBytes.withoutSuite : jobBytes.withSuite;
    assert(job > 0 && job + length <= memory.byteLength, "jobs lie in the manager's memory");
    return job;
  }
}

/** A 64-bit value below 2^53 in two halves: BigInts would cost more than the rest of the job. */
function writeAddress(memory: DataView, offset: number, value: number): void {
  memory.setUint32(offset, value % 0x1_0000_0000, true);
  memory.setUint32(offset + 4, Math.floor(value / 0x1_0000_0000), true);
}

/** The self test: numbers of blocks up to one more than a burst, against Node's own crypto. */
function agrees(hash: BlockHasher, reference: BlockHasher, algorithm: VerityAlgorithm): boolean {
  const blocks = fixedBuffer((burstBlocks + 1) * verityBlockSize);
  for (let i = 0; i < blocks.length; i++) blocks[i] = (i * 31 + (i >> 8)) & 255;
  const length = digestLength(algorithm);
  return [verityBlockSize, verityDescriptorSize].every((blockBytes) => {
    const expected = new Uint8Array((burstBlocks + 1) * length);
    reference(blocks.subarray(0, (burstBlocks + 1) * blockBytes), expected, 0, blockBytes);
    return [1, 2, 3, 7, 8, 9, 16, burstBlocks, burstBlocks + 1].every((count) => {
      const got = new Uint8Array(count * length);
      hash(blocks.subarray(0, count * blockBytes), got, 0, blockBytes);
      return Buffer.compare(got, expected.subarray(0, count * length)) === 0;
    });
  });
}
