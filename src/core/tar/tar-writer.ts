import { type ByteString, fromText, inQuotes, toText, writeBytes } from "../bytes/byte-string.ts";
import { OsdeployError } from "../errors.ts";
import type { Stat } from "../tree/inode.ts";
import type { LayerEntry } from "../tree/layer.ts";
import { blockSize, paddingBytes } from "./tar-header.ts";

/** The two zero blocks that end a tar. */
export const tarEndBytes = 2 * blockSize;

/**
 * The header blocks of one entry: a ustar header, and before it a PAX header for what ustar cannot hold. The content of a
 * regular file comes next, then `paddingBytes` zeros.
 *
 * The same entry gives the same bytes everywhere: owners are numbers only, and a PAX header has no name or time of its
 * own. Names and attributes stay the bytes they are. `TarScanner` and GNU tar read the same entry back.
 *
 * @throws OsdeployError `unsupported` for an attribute whose name holds `=`, which no PAX record can say.
 * @see https://pubs.opengroup.org/onlinepubs/9799919799/utilities/pax.html
 */
export function writeEntryHeader(entry: LayerEntry): Uint8Array {
  const fields = fieldsOf(entry);
  const records = paxRecords(entry, fields);
  const header = ustarHeader(fields);
  if (records === "") return header;
  const padded = records.length + paddingBytes(records.length);
  const blocks = new Uint8Array(2 * blockSize + padded);
  blocks.set(ustarHeader({ ...extensionFields, sizeBytes: records.length }));
  writeBytes(records, blocks, blockSize);
  blocks.set(header, blockSize + padded);
  return blocks;
}

/** What a header says, before it is cut to what its fields can hold. */
interface Fields {
  readonly type: string;
  readonly path: ByteString;
  readonly link: ByteString;
  readonly stat: Stat;
  readonly sizeBytes: number;
  readonly rdev: number;
}

/** Nothing in a PAX header says where or when it was written, so that equal trees give equal tars. */
const extensionFields: Omit<Fields, "sizeBytes"> = {
  type: "x",
  path: fromText("././@PaxHeader"),
  link: fromText(""),
  stat: { permissions: 0o644, uid: 0, gid: 0, mtimeSeconds: 0n, mtimeNanoseconds: 0 },
  rdev: 0,
};

const typeLetters: Readonly<Record<LayerEntry["kind"], string>> = {
  regular: "0",
  "hard-link": "1",
  symlink: "2",
  "character-device": "3",
  "block-device": "4",
  directory: "5",
  fifo: "6",
};

function fieldsOf(entry: LayerEntry): Fields {
  const common = { type: typeLetters[entry.kind], path: writtenPath(entry), link: fromText(""), sizeBytes: 0, rdev: 0 };
  switch (entry.kind) {
    case "hard-link":
      // Readers take all of it from the file that the link means.
      return { ...common, link: entry.target, stat: extensionFields.stat };
    case "symlink":
      return { ...common, link: entry.target, stat: entry.stat };
    case "character-device":
    case "block-device":
      return { ...common, rdev: entry.rdev, stat: entry.stat };
    case "regular":
      return { ...common, sizeBytes: contentBytes(entry), stat: entry.stat };
    default:
      return { ...common, stat: entry.stat };
  }
}

/** As other tools write them: the root is `./`, and directories end in a slash. */
function writtenPath({ kind, path }: LayerEntry): ByteString {
  if (kind !== "directory") return path;
  return (path === "" ? "./" : `${path}/`) as ByteString;
}

function contentBytes({ content }: Extract<LayerEntry, { readonly kind: "regular" }>): number {
  return content.kind === "inline" ? content.bytes.length : Number(content.sizeBytes);
}

const nameBytes = 100;
const prefixBytes = 155;
/** What seven and eleven octal digits hold. */
const maxSevenDigits = 0o777_7777;
const maxElevenDigits = 0o777_7777_7777;

/** The records of what does not fit into the header; empty when all does. */
function paxRecords(entry: LayerEntry, { path, link, stat, sizeBytes }: Fields): ByteString {
  const records: string[] = [];
  const add = (key: string, value: string): void => void records.push(paxRecord(key, value));
  if (splitPath(path) === undefined) add("path", path);
  if (link.length > nameBytes) add("linkpath", link);
  if (sizeBytes > maxElevenDigits) add("size", String(sizeBytes));
  if (stat.uid > maxSevenDigits) add("uid", String(stat.uid));
  if (stat.gid > maxSevenDigits) add("gid", String(stat.gid));
  if (stat.mtimeNanoseconds !== 0 || headerSeconds(stat) !== stat.mtimeSeconds) add("mtime", formatTime(stat));
  if (entry.kind !== "hard-link") {
    for (const key of [...entry.xattrs.keys()].sort()) add(xattrKey(key, path), entry.xattrs.get(key) as ByteString);
  }
  return records.join("") as ByteString;
}

function xattrKey(key: ByteString, path: ByteString): string {
  if (!key.includes("=")) return `SCHILY.xattr.${key}`;
  const shown = inQuotes(path);
  throw new OsdeployError(
    "unsupported",
    `Cannot write tar entry ${shown}: the name of its attribute ${JSON.stringify(toText(key))} holds "="`,
  );
}

/** `LENGTH KEY=VALUE\n`, where LENGTH counts its own digits too. */
function paxRecord(key: string, value: string): string {
  const rest = key.length + value.length + 3;
  let length = rest + String(rest).length;
  if (rest + String(length).length > length) length++;
  return `${length} ${key}=${value}\n`;
}

function formatTime({ mtimeSeconds, mtimeNanoseconds }: Stat): string {
  // Nanoseconds count forward from the second, decimal fractions away from zero.
  const isBackward = mtimeSeconds < 0n && mtimeNanoseconds > 0;
  const whole = isBackward ? -(mtimeSeconds + 1n) : mtimeSeconds;
  const fraction = isBackward ? 1_000_000_000 - mtimeNanoseconds : mtimeNanoseconds;
  const digits = fraction === 0 ? "" : `.${String(fraction).padStart(9, "0").replace(/0+$/, "")}`;
  return `${isBackward ? "-" : ""}${whole}${digits}`;
}

function ustarHeader(fields: Fields): Uint8Array {
  const { stat, rdev } = fields;
  const block = new Uint8Array(blockSize);
  const text = (value: string, offset: number): void => writeBytes(value as ByteString, block, offset);
  const octal = (value: number, offset: number, digits: number): void =>
    text(value.toString(8).padStart(digits, "0"), offset);
  // What does not fit is in a PAX record; a reader without PAX then sees a part of it, and never somebody's root.
  const { prefix, name } = splitPath(fields.path) ?? { prefix: "", name: fields.path.slice(0, nameBytes) };
  text(name, 0);
  octal(stat.permissions, 100, 7);
  octal(Math.min(stat.uid, maxSevenDigits), 108, 7);
  octal(Math.min(stat.gid, maxSevenDigits), 116, 7);
  octal(Math.min(fields.sizeBytes, maxElevenDigits), 124, 11);
  octal(Number(headerSeconds(stat)), 136, 11);
  text(fields.type, 156);
  text(fields.link.slice(0, nameBytes), 157);
  text("ustar\x0000", 257);
  octal((rdev >>> 8) & 0xfff, 329, 7);
  octal((rdev & 0xff) | ((rdev >>> 12) & 0xf_ff00), 337, 7);
  text(prefix, 345);
  text("        ", 148);
  octal(
    block.reduce((sum, byte) => sum + byte, 0),
    148,
    6,
  );
  block[154] = 0;
  return block;
}

/** The seconds that the header itself can say: those nearest to the true ones. */
function headerSeconds({ mtimeSeconds }: Stat): bigint {
  if (mtimeSeconds < 0n) return 0n;
  return mtimeSeconds > maxElevenDigits ? BigInt(maxElevenDigits) : mtimeSeconds;
}

/** The path in the header's two fields, cut at a slash that neither keeps; undefined when it does not fit. */
function splitPath(path: ByteString): { readonly prefix: string; readonly name: string } | undefined {
  if (path.length <= nameBytes) return { prefix: "", name: path };
  // The slash has to be late enough for the name to fit, and must leave a name behind it.
  const slash = path.indexOf("/", path.length - nameBytes - 1);
  if (slash < 1 || slash > prefixBytes || slash === path.length - 1) return undefined;
  return { prefix: path.slice(0, slash), name: path.slice(slash + 1) };
}
