import { hash } from "node:crypto";

/** Hex of the sha256 of `bytes`. For small pieces: one call without a hasher costs a third. */
export function sha256Hex(bytes: Uint8Array): string {
  return hash("sha256", bytes, "hex");
}
