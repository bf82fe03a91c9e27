/** Both tables of a layer that is to come in parts, as they are fetched. */
export class LayerTables {
  /** Fails as the fetching does. */
  readonly whole: Promise<Uint8Array>;
  /** Settles with {@link whole}, and never fails; undefined when that is over. */
  ended: Promise<void> | undefined;
  /** What came; undefined as long as it is on its way, and where the fetching failed. */
  bytes: Uint8Array | undefined;

  constructor(whole: Promise<Uint8Array>) {
    this.whole = whole;
    // Whoever waits for the whole sees the failure; until then it must not count as unhandled.
    this.ended = whole
      .catch(() => undefined)
      .then((bytes) => {
        this.bytes = bytes;
        this.ended = undefined;
      });
  }
}
