import { fromBytes } from "../bytes/byte-string.ts";

/** Fields of PE files: where the header is, its magic, and what lies how far behind it. */
const offsetField = 0x3c;
const peMagic = 0x4550;
const sectionCount = 6;
const optionalHeaderSize = 20;
const optionalHeader = 24;
const widePe = 0x20b;
const wideDirectories = 112;
const securityDirectory = 4;

/** A section's header: its name, and in bytes how much of it the loader sees, how much the file has, and where. */
const sectionHeaderBytes = 40;
const sectionNameBytes = 8;
const seenSize = 8;
const fileSize = 16;
const filePlace = 20;

/** A file that the firmware can start, of which some fields were read. */
export interface FirmwareProgram {
  /** Whether it has a signature; whose, nobody asks. */
  readonly isSigned: boolean;
  /** The bytes of a section, as text of one byte a character; undefined where it has none of that name. */
  readonly section: (name: string) => string | undefined;
}

/**
 * Reads the headers of a program for the firmware; undefined for what is no 64-bit PE file. Whatever they say, no more is
 * read than the file has.
 *
 * @see https://learn.microsoft.com/windows/win32/debug/pe-format
 */
export function readFirmwareProgram(bytes: Uint8Array): FirmwareProgram | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const u32 = (offset: number) => (offset + 4 <= bytes.length ? view.getUint32(offset, true) : 0);
  const u16 = (offset: number) => u32(offset) & 0xffff;
  const header = u32(offsetField);
  if (u32(header) !== peMagic || u16(header + optionalHeader) !== widePe) return undefined;
  const security = header + optionalHeader + wideDirectories + securityDirectory * 8;
  const sections = header + optionalHeader + u16(header + optionalHeaderSize);
  const text = (start: number, length: number) => fromBytes(bytes.subarray(start, start + length));
  const headerOf = (name: string) =>
    Array.from({ length: u16(header + sectionCount) }, (_, index) => sections + index * sectionHeaderBytes).find(
      (at) => text(at, sectionNameBytes).replace(/\0+$/, "") === name,
    );
  return {
    isSigned: u32(security) !== 0 && u32(security + 4) !== 0,
    section: (name) => {
      const at = headerOf(name);
      return at === undefined ? undefined : text(u32(at + filePlace), Math.min(u32(at + seenSize), u32(at + fileSize)));
    },
  };
}
