import type { ByteString } from "../bytes/byte-string.ts";
import { assert } from "../errors.ts";
import type { Stat, Xattrs } from "./inode.ts";
import type { LayerEntry } from "./layer.ts";
import { ObjectContent } from "./object-content.ts";
import { SharedStats } from "./shared-stats.ts";

/**
 * The entries of a layer as columns: plain data that one thread hands to another for a fraction of what tens of thousands
 * of entries would cost, and a fraction of their memory.
 */
export interface LayerColumns {
  readonly parts: readonly ColumnPart[];
}

interface ColumnPart {
  /** What each entry is: a place in {@link kinds}. */
  readonly kinds: Uint8Array;
  /** The paths, one behind the other, and where each ends. */
  readonly paths: string;
  readonly pathEnds: Uint32Array;
  /** Metadata; 0 for a hard link. */
  readonly permissions: Uint16Array;
  readonly uids: Float64Array;
  readonly gids: Float64Array;
  readonly mtimeSeconds: BigInt64Array;
  readonly mtimeNanoseconds: Uint32Array;
  /** Of the few entries that have some, by their place. */
  readonly xattrs: ReadonlyMap<number, Xattrs>;
  /** Targets and inline contents, of those entries that have one, and where each ends. */
  readonly texts: string;
  readonly textEnds: Uint32Array;
  /** Sizes of objects and numbers of devices, of those entries that have one. */
  readonly numbers: Float64Array;
  /** The digests of the objects, all of one length. */
  readonly digests: string;
}

/** Content in an object, whose digest may take until it is asked for to be known. */
export interface ColumnObject {
  readonly object: string | { readonly id: string };
  readonly sizeBytes: number;
}

const kinds = [
  ...(["directory", "inline-file", "object-file", "symlink", "character-device", "block-device", "fifo"] as const),
  "hard-link",
] as const;
type Kind = (typeof kinds)[number];

/** No column gets near the longest string that there can be, whatever an image has for paths. */
const partLimits = { entries: 32_768, characters: 8 * 1024 * 1024 };
const noStat: Stat = { permissions: 0, uid: 0, gid: 0, mtimeSeconds: 0n, mtimeNanoseconds: 0 };
const noXattrs: Xattrs = new Map();

/** Collects the entries of one layer, in order. */
export class LayerColumnsWriter {
  readonly #parts: ColumnPart[] = [];
  readonly #limits: typeof partLimits;
  #part = new OpenPart();

  constructor(limits = partLimits) {
    this.#limits = limits;
  }

  /** Adds an entry. External content is described by `object` instead of by itself. */
  add(entry: LayerEntry, object?: ColumnObject): void {
    this.#part.add(entry, object);
    const { entries, characters } = this.#part;
    if (entries >= this.#limits.entries || characters >= this.#limits.characters) this.#close();
  }

  /** All that was added. Objects are asked for their digests now at the latest. */
  finish(): LayerColumns {
    if (this.#part.entries > 0) this.#close();
    return { parts: this.#parts };
  }

  #close(): void {
    this.#parts.push(this.#part.finish());
    this.#part = new OpenPart();
  }
}

/** Strings that are put behind each other. */
class TextColumn {
  readonly #texts: string[] = [];
  readonly #ends: number[] = [];
  length = 0;

  add(text: string): void {
    this.#texts.push(text);
    this.length += text.length;
    this.#ends.push(this.length);
  }

  get text(): string {
    return this.#texts.join("");
  }

  get ends(): Uint32Array {
    return Uint32Array.from(this.#ends);
  }
}

class OpenPart {
  readonly #kinds: number[] = [];
  readonly #stats: Stat[] = [];
  readonly #xattrs = new Map<number, Xattrs>();
  readonly #paths = new TextColumn();
  readonly #texts = new TextColumn();
  readonly #numbers: number[] = [];
  readonly #objects: ColumnObject["object"][] = [];

  get entries(): number {
    return this.#kinds.length;
  }

  get characters(): number {
    return this.#paths.length + this.#texts.length;
  }

  add(entry: LayerEntry, object: ColumnObject | undefined): void {
    const hasStat = entry.kind !== "hard-link";
    if (hasStat && entry.xattrs.size > 0) this.#xattrs.set(this.entries, entry.xattrs);
    this.#stats.push(hasStat ? entry.stat : noStat);
    this.#paths.add(entry.path);
    this.#kinds.push(kinds.indexOf(this.#addContent(entry, object)));
  }

  #addContent(entry: LayerEntry, object: ColumnObject | undefined): Kind {
    switch (entry.kind) {
      case "regular":
        if (entry.content.kind === "inline") {
          this.#texts.add(entry.content.bytes);
          return "inline-file";
        }
        assert(object !== undefined, "external content has an object");
        this.#numbers.push(object.sizeBytes);
        this.#objects.push(object.object);
        return "object-file";
      case "symlink":
      case "hard-link":
        this.#texts.add(entry.target);
        return entry.kind;
      case "character-device":
      case "block-device":
        this.#numbers.push(entry.rdev);
        return entry.kind;
      default:
        return entry.kind;
    }
  }

  finish(): ColumnPart {
    const stats = this.#stats;
    return {
      kinds: Uint8Array.from(this.#kinds),
      ...{ paths: this.#paths.text, pathEnds: this.#paths.ends },
      permissions: Uint16Array.from(stats, ({ permissions }) => permissions),
      uids: Float64Array.from(stats, ({ uid }) => uid),
      gids: Float64Array.from(stats, ({ gid }) => gid),
      mtimeSeconds: BigInt64Array.from(stats, ({ mtimeSeconds }) => mtimeSeconds),
      mtimeNanoseconds: Uint32Array.from(stats, ({ mtimeNanoseconds }) => mtimeNanoseconds),
      xattrs: this.#xattrs,
      ...{ texts: this.#texts.text, textEnds: this.#texts.ends },
      numbers: Float64Array.from(this.#numbers),
      digests: this.#objects.map((object) => (typeof object === "string" ? object : object.id)).join(""),
    };
  }
}

/** The entries again, as they were added; content that was external is in an object. */
export function readLayerColumns({ parts }: LayerColumns): readonly LayerEntry[] {
  const stats = new SharedStats();
  return parts.flatMap((part) => new PartReader(part, stats).entries());
}

class PartReader {
  readonly #part: ColumnPart;
  readonly #stats: SharedStats;
  readonly #digestLength: number;
  #texts = 0;
  #textStart = 0;
  #numbers = 0;
  #digestStart = 0;

  constructor(part: ColumnPart, stats: SharedStats) {
    this.#part = part;
    this.#stats = stats;
    const objects = part.kinds.reduce((sum, code) => sum + (kinds[code] === "object-file" ? 1 : 0), 0);
    this.#digestLength = part.digests.length / objects;
  }

  entries(): readonly LayerEntry[] {
    const { kinds: codes, paths, pathEnds } = this.#part;
    const entries: LayerEntry[] = [];
    let start = 0;
    for (let index = 0; index < codes.length; index++) {
      const end = pathEnds[index] as number;
      const path = paths.slice(start, end) as ByteString;
      entries.push(this.#entry(index, { kind: kinds[codes[index] as number] as Kind, path }));
      start = end;
    }
    return entries;
  }

  #entry(index: number, { kind, path }: { readonly kind: Kind; readonly path: ByteString }): LayerEntry {
    if (kind === "hard-link") return { kind, path, target: this.#text() };
    const stat = this.#stat(index);
    const xattrs = this.#part.xattrs.get(index) ?? noXattrs;
    switch (kind) {
      case "inline-file":
        return { kind: "regular", path, stat, xattrs, content: { kind: "inline", bytes: this.#text() } };
      case "object-file":
        return { kind: "regular", path, stat, xattrs, content: this.#object() };
      case "symlink":
        return { kind, path, stat, xattrs, target: this.#text() };
      case "character-device":
      case "block-device":
        return { kind, path, stat, xattrs, rdev: this.#number() };
      default:
        return { kind, path, stat, xattrs };
    }
  }

  #stat(index: number): Stat {
    const part = this.#part;
    return this.#stats.get({
      permissions: part.permissions[index] as number,
      uid: part.uids[index] as number,
      gid: part.gids[index] as number,
      mtimeSeconds: part.mtimeSeconds[index] as bigint,
      mtimeNanoseconds: part.mtimeNanoseconds[index] as number,
    });
  }

  #text(): ByteString {
    const { texts, textEnds } = this.#part;
    const start = this.#textStart;
    this.#textStart = textEnds[this.#texts++] as number;
    return texts.slice(start, this.#textStart) as ByteString;
  }

  #number(): number {
    return this.#part.numbers[this.#numbers++] as number;
  }

  #object(): ObjectContent {
    const start = this.#digestStart;
    this.#digestStart += this.#digestLength;
    return new ObjectContent(this.#part.digests.slice(start, this.#digestStart), BigInt(this.#number()));
  }
}
