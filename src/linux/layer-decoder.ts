import { assert, OsdeployError } from "../core/errors.ts";
import { compressionOf, tellingBytes } from "../core/oci/layer-compression.ts";
import type { Compression } from "../core/oci/media-type.ts";
import type { Decoder, DecodeStep } from "./decoder.ts";
import { openDecoder } from "./open-decoder.ts";

/**
 * Opens a decoder for a layer whose media type promises `promised`. What its first bytes say counts
 * ({@link compressionOf}).
 *
 * @throws OsdeployError `unsupported` as {@link openDecoder}.
 */
export function openLayerDecoder(promised: Compression): Decoder {
  return new LayerDecoder(promised);
}

class LayerDecoder implements Decoder {
  readonly #promised: Compression;
  #decoder: Decoder;
  #isKnown = false;
  /** The first bytes, as long as they do not tell enough; then what of them was not decoded yet. */
  #held = new Uint8Array(0);

  constructor(promised: Compression) {
    this.#promised = promised;
    this.#decoder = openDecoder(promised);
  }

  decode(input: Uint8Array, output: Uint8Array): DecodeStep {
    if (this.#isKnown && this.#held.length === 0) return this.#decoder.decode(input, output);
    const consumed = this.#isKnown ? 0 : this.#look(input);
    if (!this.#isKnown || this.#held.length === 0) return { consumed, produced: 0 };
    const step = this.#decoder.decode(this.#held, output);
    this.#held = this.#held.subarray(step.consumed);
    return { consumed, produced: step.produced };
  }

  /** Takes of `input` what is missing to know the compression; returns how much. */
  #look(input: Uint8Array): number {
    const taken = Math.min(tellingBytes - this.#held.length, input.length);
    const held = new Uint8Array(this.#held.length + taken);
    held.set(this.#held);
    held.set(input.subarray(0, taken), this.#held.length);
    this.#held = held;
    const compression = held.length === 0 ? undefined : compressionOf(held, this.#promised);
    if (compression === undefined) return taken;
    this.#isKnown = true;
    if (compression !== this.#promised) {
      this.#decoder.close();
      this.#decoder = openDecoder(compression);
    }
    return taken;
  }

  finish(): void {
    assert(!this.#isKnown || this.#held.length === 0, "a decoder is finished when all its input is decoded");
    if (this.#held.length > 0) {
      const state = `its ${this.#held.length} bytes are no gzip, no zstd and no tar`;
      throw new OsdeployError("bad-format", `Cannot decompress the layer: ${state}`);
    }
    // No bytes are a tar without files, whatever was promised; podman takes it for one, too.
    if (this.#isKnown) this.#decoder.finish();
  }

  close(): void {
    this.#decoder.close();
  }
}
