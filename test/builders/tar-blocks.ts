import { concat } from "./layers.ts";

/** The fields of a header; all have a usual value. Strings are bytes, latin1. */
export interface TarFields {
  readonly name?: string;
  readonly type?: string;
  readonly size?: number | string;
  readonly mode?: string;
  readonly uid?: string;
  readonly gid?: string;
  readonly mtime?: string;
  readonly linkName?: string;
  /** Magic and version, 8 bytes. */
  readonly magic?: string;
  readonly major?: string;
  readonly minor?: string;
  readonly prefix?: string;
  /** Instead of the right one. */
  readonly checksum?: string;
}

export const ustar = "ustar\x0000";
export const gnu = "ustar  \0";
export const v7 = "\0\0\0\0\0\0\0\0";

/** One header block, byte by byte: no library would write what tests need. */
export function header(fields: TarFields = {}): Uint8Array {
  const block = Buffer.alloc(512);
  const put = (text: string, offset: number) => block.write(text, offset, "latin1");
  const size = fields.size ?? 0;
  put(fields.name ?? "file", 0);
  put(fields.mode ?? "0000644\0", 100);
  put(fields.uid ?? "0000000\0", 108);
  put(fields.gid ?? "0000000\0", 116);
  put(typeof size === "string" ? size : `${size.toString(8).padStart(11, "0")}\0`, 124);
  put(fields.mtime ?? "00000000000\0", 136);
  put(fields.type ?? "0", 156);
  put(fields.linkName ?? "", 157);
  put(fields.magic ?? ustar, 257);
  put(fields.major ?? "", 329);
  put(fields.minor ?? "", 337);
  put(fields.prefix ?? "", 345);
  block.fill(0x20, 148, 156);
  const sum = block.reduce((total, byte) => total + byte, 0);
  put(fields.checksum ?? `${sum.toString(8).padStart(6, "0")}\0 `, 148);
  return new Uint8Array(block);
}

/** A header with its content, padded. */
export function entry(fields: TarFields, content: Uint8Array | string = ""): Uint8Array {
  const bytes = typeof content === "string" ? latin1(content) : content;
  return concat([header({ size: bytes.length, ...fields }), bytes, new Uint8Array((512 - (bytes.length % 512)) % 512)]);
}

/** One PAX record. */
export function paxRecord(key: string, value: string): string {
  const rest = ` ${key}=${value}\n`.length;
  let length = rest + String(rest).length;
  if (rest + String(length).length !== length) length = rest + String(length).length;
  return `${length} ${key}=${value}\n`;
}

/** A PAX header with these records. */
export function pax(records: Readonly<Record<string, string>>, type = "x"): Uint8Array {
  const text = Object.entries(records).map(([key, value]) => paxRecord(key, value));
  return entry({ name: "pax", type }, text.join(""));
}

/** A whole tar: these entries and the end. */
export function tarOf(...entries: readonly Uint8Array[]): Uint8Array {
  return concat([...entries, new Uint8Array(1024)]);
}

export function latin1(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, "latin1"));
}
