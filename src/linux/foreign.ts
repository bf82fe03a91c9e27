import { createRequire } from "node:module";
import type koffi from "koffi";
import { assert } from "../core/errors.ts";

/** The library that calls C functions. */
export type Foreign = typeof koffi;

/** A loaded C library. */
export type ForeignLibrary = ReturnType<Foreign["load"]>;

let loaded: Foreign | undefined;

/** koffi, at the first use: loading it costs 8 ms, which a command that needs none of it should not pay. */
export function foreign(): Foreign {
  loaded ??= createRequire(import.meta.url)("koffi") as Foreign;
  return loaded;
}

/**
 * The first of `names` that can be loaded and holds all of `symbols`; undefined when there is none. A null name stands
 * for Node's own binary and what it links.
 *
 * A library calls its own functions where Node exports some of the same name: Node 22.15 and newer have a zstd inside, and
 * half of one version with half of another gives wrong answers.
 */
export function findLibrary(
  names: readonly (string | null)[],
  symbols: readonly string[] = [],
): ForeignLibrary | undefined {
  for (const name of names) {
    try {
      const library = foreign().load(name, { deep: true });
      for (const symbol of symbols) library.symbol(symbol);
      return library;
    } catch {
      // Not there, or not the right one: the next name may be.
    }
  }
  return undefined;
}

/**
 * A zeroed buffer whose address stays the same as long as it is referenced. Small typed arrays live on the garbage
 * collected heap and move; a page of their own memory does not.
 */
export function fixedBuffer(length: number): Buffer<ArrayBuffer> {
  return Buffer.allocUnsafeSlow(Math.max(length, 4096)).fill(0);
}

/**
 * The address of `bytes`, which the caller keeps referenced as long as the address is in use.
 *
 * Arrays of up to 64 bytes start on the garbage collected heap and would move; asking for their buffer gives them memory
 * of their own for good.
 */
export function addressOf(bytes: Uint8Array): bigint {
  assert(bytes.buffer.byteLength >= bytes.byteLength, "a view lies inside its buffer");
  return foreign().address(bytes);
}

const kept: { bytes: readonly Uint8Array[] } = { bytes: [] };

/**
 * To be called after C has used addresses of `bytes`: the collector may take what the code no longer mentions, also in
 * the middle of a function. They stay referenced until the next call.
 */
export function keepAlive(bytes: readonly Uint8Array[]): void {
  kept.bytes = bytes;
}
