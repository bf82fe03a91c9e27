import { type ByteString, fromBytes, untilNul } from "../bytes/byte-string.ts";
import { element } from "../bytes/element.ts";
import { isHex } from "../bytes/hex.ts";
import { digestLength, type VerityAlgorithm } from "../digest/object-id.ts";
import { OsdeployError } from "../errors.ts";
import { unescapeField } from "./dump-escape.ts";
import { isInteger, parseU32, parseU64, plainDigits } from "./dump-integer.ts";
import { PlainLines, plainKind } from "./dump-plain-line.ts";
import { DumpTree, isNewName } from "./dump-tree.ts";
import { XattrTexts } from "./dump-xattrs.ts";
import { asValue, nlinkColumn } from "./file-rows.ts";
import { kindOfMode } from "./file-type.ts";
import type { FileContent, FileTree, Leaf, OpenDirectory, SpecialFile, Stat, Xattrs } from "./inode.ts";
import { externalContent } from "./object-content.ts";
import { SharedStats } from "./shared-stats.ts";

/** How to read a dump. */
export interface DumpOptions {
  /** Refuse what mkcomposefs refuses when `CFS_PARSE_STRICT` is set. */
  readonly strict?: boolean;
  /** Whether a digest is 64 hex digits (what is too much is ignored, as mkcomposefs does) or 128. */
  readonly algorithm?: VerityAlgorithm;
  /** Whether files may be rows (see {@link FileRow}), which is quicker for an image and worse for anything else. */
  readonly rows?: boolean;
  /** Is told the length of the digest of each file whose content is outside, before anything of it is ignored. */
  readonly onDigest?: (length: number) => void;
}

/**
 * The tree that composefs-dump(5) text describes, read exactly as mkcomposefs reads it.
 *
 * Which name of a hard-linked file is its own is decided by the dump: the line without `@`. Memory and time are linear
 * in the length of `text`; nothing recurses.
 *
 * @throws OsdeployError `bad-format`: its message is mkcomposefs's own text, since the `composefs` commands are a drop-in.
 * @see https://github.com/composefs/composefs/blob/main/man/composefs-dump.md
 */
export function parseDump(text: Uint8Array, options: DumpOptions = {}): FileTree {
  if (text.length === 0) throw bad("No files in dump file");
  const parser = new LineParser(text, options);
  for (const { chunk, start } of wholeLines(text)) {
    parser.begin(chunk, start);
    for (let at = 0; at < chunk.length; ) {
      const newline = chunk.indexOf("\n", at);
      if (newline < 0 && options.strict) throw bad("Missing trailing newline");
      const end = newline < 0 ? chunk.length : newline;
      parser.add(at, end);
      at = end + 1;
    }
  }
  return parser.tree.finish();
}

/** Bytes to turn into one string at a time; large, since each turn has its price, but far below what a string may hold. */
const chunkBytes = 1 << 20;

/** `text` in strings that end with a line, and where each starts. */
function* wholeLines(text: Uint8Array): Generator<{ readonly chunk: ByteString; readonly start: number }> {
  for (let start = 0; start < text.length; ) {
    const newline = start + chunkBytes < text.length ? text.lastIndexOf(0x0a, start + chunkBytes) : text.length;
    const nextNewline = newline >= start ? newline : text.indexOf(0x0a, start);
    const end = nextNewline < 0 ? text.length : nextNewline + 1;
    yield { chunk: fromBytes(text, start, Math.min(end, text.length)), start };
    start = end;
  }
}

/** The fixed fields of a line; XATTRS is where the rest begins. */
const field = {
  path: 0,
  size: 1,
  mode: 2,
  nlink: 3,
  uid: 4,
  gid: 5,
  rdev: 6,
  mtime: 7,
  payload: 8,
  content: 9,
  digest: 10,
  xattrs: 11,
} as const;

type Kind = Leaf["kind"] | "directory";

/** Longest symlink target and backing path, in bytes: the kernel's limit. */
const maxPayloadLength = 4095;

/** Most bytes of a file that a line may hold, as mkcomposefs has it. */
const maxContentLength = 5000;

/** What a line says of an inode besides its type, before it is known whether that type can have it. */
interface LineValues {
  readonly stat: Stat;
  readonly sizeBytes: bigint;
  readonly nlink: number;
  readonly rdev: number;
  readonly payload: ByteString | undefined;
  readonly content: ByteString | undefined;
  /** As in the line, unescaped; looked at only where it is used. */
  readonly digest: ByteString | undefined;
}

/** Turns lines into inodes. The order of its steps decides which of several errors is reported. */
class LineParser {
  readonly tree = new DumpTree();
  readonly #strict: boolean;
  readonly #algorithm: VerityAlgorithm;
  readonly #keepsRows: boolean;
  readonly #onDigest: DumpOptions["onDigest"];
  readonly #xattrTexts = new XattrTexts();
  /** Where each field of the line starts; it ends one byte before the next one starts. */
  readonly #starts = new Array<number>(field.xattrs + 1).fill(0);
  readonly #plain: PlainLines;
  readonly #digestDigits: number;
  #chunk = "" as ByteString;
  /** Where in the text the chunk starts. */
  #chunkStart = 0;
  #nul = -1;
  #hasEscapes = false;
  #end = 0;
  readonly #stats = new SharedStats();

  constructor(text: Uint8Array, options: DumpOptions) {
    this.#strict = options.strict ?? false;
    this.#algorithm = options.algorithm ?? "sha256";
    this.#digestDigits = 2 * digestLength(this.#algorithm);
    this.#plain = new PlainLines(text, this.#digestDigits);
    this.#keepsRows = options.rows ?? false;
    this.#onDigest = options.onDigest;
  }

  /** The lines to come are in `chunk`, which is what the text has from `chunkStart` on. */
  begin(chunk: ByteString, chunkStart: number): void {
    this.#chunk = chunk;
    this.#chunkStart = chunkStart;
    this.#nul = chunk.indexOf("\0");
    this.#hasEscapes = chunk.includes("\\");
  }

  /** Adds the line from `start` to `end` of the chunk. */
  add(start: number, end: number): void {
    // An earlier line of the chunk that holds it would have been refused.
    if (this.#nul >= 0 && this.#nul < end) {
      throw bad(`Invalid embedded NUL character at position ${this.#nul - start}`);
    }
    if (!this.#addPlain(start, end)) this.#addAny(start, end);
  }

  /** Adds a line of any kind. Apart, so that what is made fast for nearly all lines stays small. */
  #addAny(start: number, end: number): void {
    this.#split(start, end);
    const chunk = this.#chunk;
    const path = this.#untilNul(this.#unescaped(this.#start(field.path), this.#fieldEnd(field.path)));
    if (path === "") throw bad("Invalid empty path");
    const modeStart = this.#start(field.mode);
    const isLink = chunk[modeStart] === "@" && modeStart < this.#fieldEnd(field.mode);
    const mode = parseU32(chunk, isLink ? modeStart + 1 : modeStart, this.#fieldEnd(field.mode), 8);
    const kind = kindOfMode(mode);
    if (kind === undefined) throw bad(`Invalid mode ${mode.toString(8)}`);
    const place = this.tree.place(path, kind === "directory");
    if (!isLink) this.tree.put(place, this.#inode(kind, mode & 0o7777));
    else if (kind === "directory") throw bad("Directories can't be hardlinked");
    else this.tree.link(place, this.#optional(field.payload));
  }

  /** Adds a line that is as nearly all are; false when it is not. */
  #addPlain(start: number, end: number): boolean {
    const line = this.#plain;
    const { rows } = line;
    const offset = this.#chunkStart;
    const kind = line.read(start + offset, end + offset);
    const isUsable = kind === plainKind.file || (kind === plainKind.symlink && !this.#strict);
    if (!isUsable) return false;
    const chunk = this.#chunk;
    const slash = line.lastSlash - offset;
    const directory = this.tree.directoryOf(chunk, start, slash);
    const name = chunk.slice(slash + 1, line.pathEnd - offset) as ByteString;
    if (directory === undefined || !isNewName(directory, name)) return false;
    const xattrs = this.#xattrTexts.parse(chunk, Math.min(line.fieldsEnd - offset + 1, end), end);
    if (kind === plainKind.symlink) directory.entries.set(name, this.#plainSymlink(xattrs));
    else {
      const file = rows.take(xattrs);
      directory.entries.set(name, this.#keepsRows ? file : asValue(file));
      this.#onDigest?.(this.#digestDigits);
    }
    return true;
  }

  /** The symlink of the line that was read last. */
  #plainSymlink(xattrs: Xattrs): Leaf {
    const { rows, payloadStart, fieldsEnd } = this.#plain;
    const offset = this.#chunkStart;
    const target = this.#chunk.slice(payloadStart - offset, fieldsEnd - offset - 4) as ByteString;
    const nlink = rows.number(rows.count, nlinkColumn);
    return { kind: "symlink", stat: rows.stat(rows.count), xattrs, nlink, target };
  }

  #split(start: number, end: number): void {
    this.#end = end;
    let at = start;
    for (let i = 0; i <= field.xattrs; i++) {
      this.#starts[i] = at;
      const space = at > end ? -1 : this.#chunk.indexOf(" ", at);
      at = space < 0 || space >= end ? end + 1 : space + 1;
    }
  }

  #fieldEnd(index: number): number {
    return Math.min(this.#start(index + 1) - 1, this.#end);
  }

  #start(index: number): number {
    return element(this.#starts, index);
  }

  #unescaped(start: number, end: number): ByteString {
    const raw = this.#chunk.slice(start, end) as ByteString;
    return this.#hasEscapes ? unescapeField(raw) : raw;
  }

  /** An unescaped field up to its first NUL, which only an escape can have brought. */
  #untilNul(bytes: ByteString): ByteString {
    return this.#hasEscapes ? untilNul(bytes) : bytes;
  }

  /** A field where a lone raw dash means "not set". */
  #optional(index: number): ByteString | undefined {
    const start = this.#start(index);
    const end = this.#fieldEnd(index);
    const isDash = end - start === 1 && this.#chunk.charCodeAt(start) === 0x2d;
    return isDash ? undefined : this.#unescaped(start, end);
  }

  #u32(index: number): number {
    return parseU32(this.#chunk, this.#start(index), this.#fieldEnd(index), 10);
  }

  #u64(index: number): bigint {
    return parseU64(this.#chunk, this.#start(index), this.#fieldEnd(index));
  }

  #inode(kind: Kind, permissions: number): Leaf | OpenDirectory {
    const values = this.#values(permissions);
    if (this.#strict) checkStrictly(kind, values, this.#isInteger(field.rdev) && this.#u64(field.rdev) !== 0n);
    if (kind === "symlink") checkedTarget(values.payload);
    else checkContent(values);
    const xattrs = this.#xattrTexts.parse(this.#chunk, this.#start(field.xattrs), this.#end);
    const inode = makeInode(kind, values, { xattrs, algorithm: this.#algorithm });
    const isExternal = inode.kind === "regular" && inode.content.kind === "external";
    if (isExternal && values.digest !== undefined) this.#onDigest?.(values.digest.length);
    return inode;
  }

  #values(permissions: number): LineValues {
    const sizeBytes = this.#u64(field.size);
    const nlink = this.#u32(field.nlink);
    const owner = this.#owner();
    const stat = this.#stat(permissions, owner);
    const payload = this.#optional(field.payload);
    const content = this.#optional(field.content);
    if (content !== undefined && BigInt(content.length) !== sizeBytes) {
      const size = BigInt.asIntN(64, sizeBytes);
      throw bad(`Invalid content size ${content.length}, must match size ${size}`);
    }
    const digest = this.#optional(field.digest);
    return { stat, sizeBytes, nlink, rdev: owner.rdev, payload: payload && this.#untilNul(payload), content, digest };
  }

  /** mkcomposefs notices a bad group or device number only when the user is 0; else the bad number counts as 0. */
  #owner(): { uid: number; gid: number; rdev: number } {
    const uid = this.#u32(field.uid);
    // All 64 bits have to be zero.
    const strict = uid === 0 && this.#isZero(field.uid);
    return {
      uid,
      gid: strict || this.#isInteger(field.gid) ? this.#u32(field.gid) : 0,
      rdev: strict || this.#isInteger(field.rdev) ? this.#u32(field.rdev) : 0,
    };
  }

  #isZero(index: number): boolean {
    const plain = plainDigits(this.#chunk, this.#start(index), this.#fieldEnd(index), 10);
    return plain < 0 ? this.#u64(index) === 0n : plain === 0;
  }

  #isInteger(index: number): boolean {
    return isInteger(this.#chunk, this.#start(index), this.#fieldEnd(index));
  }

  #stat(permissions: number, owner: { readonly uid: number; readonly gid: number }): Stat {
    const start = this.#start(field.mtime);
    const end = this.#fieldEnd(field.mtime);
    const dot = this.#chunk.indexOf(".", start);
    const secondsEnd = dot < 0 || dot > end ? end : dot;
    const mtimeSeconds = this.#seconds(start, secondsEnd);
    const mtimeNanoseconds = parseU32(this.#chunk, secondsEnd + 1, end, 10);
    const { uid, gid } = owner;
    return this.#stats.get({ permissions, uid, gid, mtimeSeconds, mtimeNanoseconds });
  }

  #seconds(start: number, end: number): bigint {
    const plain = plainDigits(this.#chunk, start, end, 10);
    return plain < 0 ? BigInt.asIntN(64, parseU64(this.#chunk, start, end)) : this.#stats.toBig(plain);
  }
}

/** `hasDevice` looks at all 64 bits of a device number, of which an inode keeps 32. */
function checkStrictly(kind: Kind, values: LineValues, hasDevice: boolean): void {
  if (hasDevice && kind !== "character-device" && kind !== "block-device") {
    throw bad("Non-zero devnum on non-device");
  }
  if (kind !== "symlink") return;
  const { length } = checkedTarget(values.payload);
  const size = BigInt.asIntN(64, values.sizeBytes);
  if (BigInt(length) !== size) throw bad(`Invalid symlink size ${length}, must match size ${size}`);
  if (values.content !== undefined && values.content !== "") throw bad("Symlink cannot have content");
}

function checkedTarget(target: ByteString | undefined): ByteString {
  if (target === undefined || target === "" || target.length > maxPayloadLength) throw bad("Invalid symlink");
  return target;
}

function checkContent(values: LineValues): void {
  if (values.payload !== undefined && values.payload.length > maxPayloadLength) throw bad("Invalid payload");
  const length = values.content?.length ?? 0;
  if (length > maxContentLength) throw bad(`Inline content size ${length} exceeds maximum ${maxContentLength}`);
}

function makeInode(
  kind: Kind,
  values: LineValues,
  options: { readonly xattrs: Xattrs; readonly algorithm: VerityAlgorithm },
): Leaf | OpenDirectory {
  const { stat, nlink } = values;
  const { xattrs } = options;
  switch (kind) {
    case "directory":
      return { kind, stat, xattrs, entries: new Map(), links: new Set() };
    case "regular":
      return { kind, stat, xattrs, nlink, content: makeContent(values, options.algorithm) };
    case "symlink":
      return { kind, stat, xattrs, nlink, target: checkedTarget(values.payload) };
    default:
      return { kind, stat, xattrs, nlink, rdev: deviceNumber(kind, values.rdev), claimedSizeBytes: values.sizeBytes };
  }
}

function deviceNumber(kind: SpecialFile["kind"], rdev: number): number {
  return kind === "character-device" || kind === "block-device" ? rdev : 0;
}

function makeContent(values: LineValues, algorithm: VerityAlgorithm): FileContent {
  const { sizeBytes, payload, content, digest } = values;
  if (sizeBytes === 0n) return emptyContent;
  if (content !== undefined) return { kind: "inline", bytes: content };
  return externalContent(sizeBytes, {
    backingPath: payload === "" ? undefined : payload,
    digest: digest === undefined ? undefined : takeDigest(digest, algorithm),
  });
}

const emptyContent: FileContent = { kind: "inline", bytes: "" as ByteString };

/**
 * The digest at the start of `text`. Where there are too few digits mkcomposefs goes on with memory it never set; no
 * image can be right then, so it is refused here.
 */
function takeDigest(text: ByteString, algorithm: VerityAlgorithm): string {
  const length = digestLength(algorithm);
  const digits = text.slice(0, 2 * length);
  if (isHex(digits, length)) return digits;
  const lower = digits.toLowerCase();
  if (!isHex(lower, length)) throw bad(`Invalid digest ${text}, must be ${2 * length} hex digits`);
  return lower;
}

function bad(message: string): OsdeployError {
  return new OsdeployError("bad-format", message);
}
