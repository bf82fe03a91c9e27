import { createHash } from "node:crypto";
import { closeSync, openSync, readSync } from "node:fs";
import { element } from "../core/bytes/element.ts";
import { BlobHasher } from "../core/digest/blob-hasher.ts";
import { assert } from "../core/errors.ts";
import { addressOf, findLibrary, fixedBuffer, keepAlive } from "./foreign.ts";

/**
 * Measures two streams that come together: one that is decoded, and what it decodes to. Where Node and the processor can,
 * they share the two lanes of the processor's sha256 instructions, which are idle half of the time with one stream.
 */
export interface BlobPair {
  /** The next bytes of the first stream. They have to stay as they are until {@link settle}. */
  offer(bytes: Uint8Array): void;
  /** The next bytes of the second stream. They are not kept. */
  update(bytes: Uint8Array): void;
  /** Measures what was offered and is not measured yet. */
  settle(): void;
  /** The digest of all bytes of the first stream in OCI's form, as {@link BlobHasher.measured} gives it. */
  measuredFirst(): string;
  measuredSecond(): string;
}

/** `first` and `second` are the algorithms of the digests which the streams are to have. */
export function openBlobPair(first: "sha256" | "sha512", second: "sha256" | "sha512"): BlobPair {
  if (first === "sha256" && second === "sha256") {
    lanes ??= { functions: findLanes() };
    if (lanes.functions !== undefined) return new LanePair(lanes.functions);
  }
  return new HasherPair(first, second);
}

/** One stream after the other, by Node's own crypto. */
class HasherPair implements BlobPair {
  readonly #first: BlobHasher;
  readonly #second: BlobHasher;

  constructor(first: "sha256" | "sha512", second: "sha256" | "sha512") {
    this.#first = new BlobHasher(first);
    this.#second = new BlobHasher(second);
  }

  offer(bytes: Uint8Array): void {
    this.#first.update(bytes);
  }

  update(bytes: Uint8Array): void {
    this.#second.update(bytes);
  }

  settle(): void {}

  measuredFirst(): string {
    return this.#first.measured();
  }

  measuredSecond(): string {
    return this.#second.measured();
  }
}

/** Functions of the OpenSSL in Node's binary. A context is 112 bytes, see {@link contextWords}. */
interface LaneFunctions {
  readonly init: (context: Uint32Array) => number;
  readonly update: (context: Uint32Array, bytes: Uint8Array, length: number) => number;
  readonly final: (digest: Uint8Array, context: Uint32Array) => number;
  /** Hashes whole blocks of several messages; `count` is in fours of them. */
  readonly hashTogether: (states: Uint32Array, descriptions: Uint8Array, count: number) => void;
}

/** Of this thread; the functions are undefined where there are none. */
let lanes: { readonly functions: LaneFunctions | undefined } | undefined;

/** Words of `SHA256_CTX` of openssl/sha.h: eight of state, the count of bits, a block that is not full, the bytes in it. */
const contextWords = { bitsLow: 8, bitsHigh: 9, pending: 26 } as const;
const stateWords = 8;
/** `SHA256_MB_CTX` of OpenSSL's crypto/evp/e_aes_cbc_hmac_sha256.c: for each word of the state, that of eight messages. */
const messagesInState = 8;
/** `HASH_DESC` there: an address, and a number of blocks. */
const descriptionBytes = 16;
const blockBytes = 64;

class LanePair implements BlobPair {
  readonly #functions: LaneFunctions;
  readonly #first: Lane;
  readonly #second: Lane;
  readonly #states = new Uint32Array(fixedBuffer(4 * stateWords * messagesInState).buffer);
  /** Of four messages: the third and the fourth have no blocks. */
  readonly #descriptions = fixedBuffer(4 * descriptionBytes);
  /** What was offered and is not measured yet. */
  #offered: Uint8Array = new Uint8Array(0);

  constructor(functions: LaneFunctions) {
    this.#functions = functions;
    this.#first = new Lane(functions);
    this.#second = new Lane(functions);
  }

  offer(bytes: Uint8Array): void {
    this.settle();
    this.#offered = bytes;
  }

  update(bytes: Uint8Array): void {
    let rest = bytes;
    if (this.#offered.length > blockBytes) {
      this.#offered = this.#first.align(this.#offered);
      rest = this.#second.align(rest);
      const together = blockBytes * Math.floor(Math.min(this.#offered.length, rest.length) / blockBytes);
      this.#hashTogether(this.#offered, rest, together);
      this.#offered = this.#offered.subarray(together);
      rest = rest.subarray(together);
    }
    this.#second.update(rest);
  }

  settle(): void {
    this.#first.update(this.#offered);
    this.#offered = this.#offered.subarray(this.#offered.length);
  }

  measuredFirst(): string {
    this.settle();
    return this.#first.measured();
  }

  measuredSecond(): string {
    return this.#second.measured();
  }

  #hashTogether(first: Uint8Array, second: Uint8Array, length: number): void {
    if (length === 0) return;
    for (const [message, bytes] of [first, second].entries()) {
      this.#descriptions.writeBigUInt64LE(addressOf(bytes), message * descriptionBytes);
      this.#descriptions.writeInt32LE(length / blockBytes, message * descriptionBytes + 8);
    }
    this.#first.putState(this.#states, 0);
    this.#second.putState(this.#states, 1);
    this.#functions.hashTogether(this.#states, this.#descriptions, 1);
    keepAlive([first, second]);
    this.#first.takeState(this.#states, 0, length);
    this.#second.takeState(this.#states, 1, length);
  }
}

/** One message. */
class Lane {
  readonly #functions: LaneFunctions;
  readonly #context = new Uint32Array(fixedBuffer(112).buffer);

  constructor(functions: LaneFunctions) {
    this.#functions = functions;
    functions.init(this.#context);
  }

  update(bytes: Uint8Array): void {
    if (bytes.length > 0) this.#functions.update(this.#context, bytes, bytes.length);
  }

  /** Fills the block that has begun, if one has, and gives the rest. */
  align(bytes: Uint8Array): Uint8Array {
    const pending = this.#word(contextWords.pending);
    if (pending === 0) return bytes;
    const missing = blockBytes - pending;
    this.update(bytes.subarray(0, missing));
    return bytes.subarray(missing);
  }

  putState(states: Uint32Array, message: number): void {
    for (let word = 0; word < stateWords; word++) states[word * messagesInState + message] = this.#word(word);
  }

  /** Takes the state after `length` more bytes. */
  takeState(states: Uint32Array, message: number, length: number): void {
    const { bitsLow, bitsHigh } = contextWords;
    for (let word = 0; word < stateWords; word++) {
      this.#context[word] = element(states, word * messagesInState + message);
    }
    const bits = this.#word(bitsLow) + 8 * length;
    this.#context[bitsLow] = bits % 0x1_0000_0000;
    this.#context[bitsHigh] = this.#word(bitsHigh) + Math.floor(bits / 0x1_0000_0000);
  }

  #word(index: number): number {
    return element(this.#context, index);
  }

  measured(): string {
    const digest = fixedBuffer(32);
    this.#functions.final(digest, this.#context);
    return `sha256:${digest.toString("hex", 0, 32)}`;
  }
}

/** Undefined where the processor has no instructions for sha256, or Node's binary does not offer what is known here. */
function findLanes(): LaneFunctions | undefined {
  if (process.arch !== "x64" || !hasShaInstructions()) return undefined;
  const library = findLibrary([null], ["sha256_multi_block", "SHA256_Init", "SHA256_Update", "SHA256_Final"]);
  if (library === undefined) return undefined;
  const functions: LaneFunctions = {
    init: library.func("SHA256_Init", "int", ["void *"]),
    update: library.func("SHA256_Update", "int", ["void *", "void *", "size_t"]),
    final: library.func("SHA256_Final", "int", ["void *", "void *"]),
    hashTogether: library.func("sha256_multi_block", "void", ["void *", "void *", "int"]),
  };
  // `sha256_multi_block` is no part of OpenSSL's interface: it is used only where it does what is expected.
  return agrees(functions) ? functions : undefined;
}

/** Without them, the function takes four or eight messages at once, and two alone are faster one by one. */
function hasShaInstructions(): boolean {
  const start = Buffer.alloc(4096);
  try {
    const fd = openSync("/proc/cpuinfo", "r");
    try {
      readSync(fd, start, 0, start.length, 0);
    } finally {
      closeSync(fd);
    }
  } catch {
    return false;
  }
  return /^flags\t.* sha_ni /m.test(start.toString("latin1"));
}

/** The self test: pieces of uneven lengths, against Node's own crypto. */
function agrees(functions: LaneFunctions): boolean {
  const bytes = fixedBuffer(8192).map((_, i) => (i * 31 + (i >> 8)) & 255);
  const pair = new LanePair(functions);
  const [first, second] = [createHash("sha256"), createHash("sha256")];
  for (const [offered, decoded] of [
    ...[
      [0, 100],
      [64, 64],
      [640, 100],
      [100, 640],
      [129, 4096],
    ],
    ...[
      [4096, 333],
      [4000, 4001],
      [1, 0],
      [8000, 8191],
    ],
  ] as const) {
    assert(offered !== undefined && decoded !== undefined, "the self test has pairs of lengths");
    pair.offer(bytes.subarray(1, 1 + offered));
    pair.update(bytes.subarray(0, decoded));
    pair.settle();
    first.update(bytes.subarray(1, 1 + offered));
    second.update(bytes.subarray(0, decoded));
  }
  const expected = [first, second].map((hash) => `sha256:${hash.digest("hex")}`);
  return pair.measuredFirst() === expected[0] && pair.measuredSecond() === expected[1];
}
