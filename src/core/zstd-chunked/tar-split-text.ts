import { fromBytes } from "../bytes/byte-string.ts";
import { goJson } from "./go-text.ts";

/** The line of a tar-split for bytes of the tar. `position` counts all lines from 0. */
export function segmentLine(bytes: Uint8Array, position: number): string {
  return `{"type":2,"payload":"${btoa(fromBytes(bytes))}","position":${position}}\n`;
}

/** The line for an entry; `checksum`, a CRC-64, is that of its content, where it has any. */
export function fileLine(
  file: { readonly name: string; readonly sizeBytes: number; readonly checksum: Uint8Array | undefined },
  position: number,
): string {
  const size = file.sizeBytes === 0 ? "" : `"size":${file.sizeBytes},`;
  const payload = file.checksum === undefined ? "null" : `"${btoa(fromBytes(file.checksum))}"`;
  return `{"type":1,"name":${goJson(file.name)},${size}"payload":${payload},"position":${position}}\n`;
}
