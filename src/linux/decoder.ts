/** What one call of {@link Decoder.decode} did. */
export interface DecodeStep {
  /** Bytes taken from the front of the input. */
  readonly consumed: number;
  /** Bytes written to the front of the output. */
  readonly produced: number;
}

/**
 * A compressed stream being decompressed: a synchronous state machine.
 *
 * Hand it input until all of it is consumed **and** a call produced less than there was room for; then hand it the next
 * piece. At the end of the stream call `finish`. Always `close`.
 */
export interface Decoder {
  /**
   * Decodes from the front of `input` to the front of `output`, straight, without a copy between. Never writes more than
   * `output` holds, so that a bomb costs no memory. Neither buffer is kept.
   *
   * @throws OsdeployError `bad-format` when the bytes are damaged, or something follows the compressed stream.
   */
  decode(input: Uint8Array, output: Uint8Array): DecodeStep;
  /** @throws OsdeployError `bad-format` when the stream is not complete. */
  finish(): void;
  /** Frees native memory. Calling it twice is fine; nothing else may be called after it. */
  close(): void;
}
