const encoder = new TextEncoder();
const lenientDecoder = new TextDecoder();
const exactDecoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** The bytes of `text` in UTF-8; a surrogate without its pair becomes U+FFFD. */
export function encodeText(text: string): Uint8Array<ArrayBuffer> {
  return encoder.encode(text);
}

/**
 * The text of what is meant for people, or of a document of which a few words count. What is no UTF-8 becomes U+FFFD, and a byte
 * order mark at the start goes away: not for names, see `byte-string.ts`, and not for what is compared to decide whom to trust.
 */
export function decodeText(bytes: Uint8Array | undefined): string {
  return lenientDecoder.decode(bytes);
}

/** The text that has exactly these bytes in UTF-8, a byte order mark among them; undefined when none has. */
export function exactText(bytes: Uint8Array): string | undefined {
  try {
    return exactDecoder.decode(bytes);
  } catch {
    return undefined;
  }
}
