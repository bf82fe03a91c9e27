import { element } from "../bytes/element.ts";
import { OsdeployError } from "../errors.ts";
import { readJsonMembers } from "./json-members.ts";
import { hexOf } from "./zstd-chunked-tables.ts";

/** Some bytes of a layer's blob. */
export interface FramePlace {
  readonly offsetBytes: number;
  readonly lengthBytes: number;
}

/** A part of a file's content. */
export interface TocChunk {
  /** Hex of the sha256 of the content. */
  readonly digest: string;
  readonly sizeBytes: number;
  /** Where the zstd frame with the content lies; undefined for zeros, which need not be fetched. */
  readonly frame: FramePlace | undefined;
}

/** One entry of the layer's tar. */
export interface TocEntry {
  /** As in the tar, but where that is no UTF-8: then with U+FFFD, so it is for comparing only. */
  readonly name: string;
  readonly sizeBytes: number;
  /** Hex of the sha256 of the content; empty for what has none. */
  readonly digest: string;
  /** The content's parts in order, none for what has no content. */
  readonly chunks: readonly TocChunk[];
}

/** The table of contents of a zstd:chunked layer. It is a map to contents, and no authority on what the layer holds. */
export interface ChunkedToc {
  /** Hex of the sha256 of the compressed tar-split. */
  readonly tarSplitDigest: string;
  /** In the order of the tar. */
  readonly entries: readonly TocEntry[];
}

/** Bytes in one entry. How many entries there can be is limited by the size of the table. */
const entryLimitBytes = 1024 * 1024;

const emptyKinds: ReadonlySet<unknown> = new Set(["dir", "symlink", "hardlink", "char", "block", "fifo"]);

/**
 * Reads a table of contents. `dataEndBytes` is where the layer's data end: no frame may reach further.
 *
 * @throws OsdeployError `bad-format` when it is not as every writer makes it; `unsupported` for another version, or one
 * without a digest of the tar-split; `limit-exceeded`.
 */
export function parseChunkedToc(bytes: Uint8Array, dataEndBytes: number): ChunkedToc {
  const entries = new EntryList(dataEndBytes);
  const members = readJsonMembers(bytes, {
    document: "table of contents",
    list: "entries",
    limitBytes: entryLimitBytes,
    onItem: (item) => entries.add(item),
  });
  if (members.get("version") !== 1) throw unsupported(`its version is ${String(members.get("version")).slice(0, 20)}`);
  const tarSplitDigest = hexOf(members.get("tarSplitDigest"));
  if (tarSplitDigest === undefined) throw unsupported("it has no digest of a tar-split");
  return { tarSplitDigest, entries: entries.finish() };
}

/** The keys of an entry that say where its content is. Metadata are taken from the tar's own headers. */
interface Fields {
  readonly type?: unknown;
  readonly name?: unknown;
  readonly size?: unknown;
  readonly digest?: unknown;
  readonly offset?: unknown;
  readonly endOffset?: unknown;
  readonly chunkSize?: unknown;
  readonly chunkOffset?: unknown;
  readonly chunkDigest?: unknown;
  readonly chunkType?: unknown;
}

/** A file whose chunks are still coming. */
interface OpenFile {
  readonly name: string;
  readonly sizeBytes: number;
  readonly digest: string;
  readonly endBytes: number;
  readonly chunks: OpenChunk[];
  /** Bytes of content in `chunks`. */
  reachedBytes: number;
}

interface OpenChunk {
  readonly digest: string;
  readonly sizeBytes: number;
  readonly offsetBytes: number;
  readonly isZeros: boolean;
}

class EntryList {
  readonly #dataEndBytes: number;
  readonly #entries: TocEntry[] = [];
  #open: OpenFile | undefined;

  constructor(dataEndBytes: number) {
    this.#dataEndBytes = dataEndBytes;
  }

  add(item: unknown): void {
    if (typeof item !== "object" || item === null) throw bad("an entry is no object");
    const fields = item as Fields;
    if (fields.type === "chunk") {
      this.#addChunk(fields);
      return;
    }
    this.#close();
    const name = fields.name;
    if (typeof name !== "string") throw bad("an entry has no name");
    const sizeBytes = sizeOf(fields, "size");
    if (fields.type === "reg" && sizeBytes > 0) this.#open = openFile(fields, name, sizeBytes, this.#dataEndBytes);
    else if (fields.type === "reg" || emptyKinds.has(fields.type)) this.#entries.push({ name, ...noContent });
    else throw bad(`an entry is of the type ${JSON.stringify(fields.type)?.slice(0, 40)}`);
  }

  finish(): readonly TocEntry[] {
    this.#close();
    return this.#entries;
  }

  #addChunk(fields: Fields): void {
    const open = this.#open;
    if (open === undefined || fields.name !== open.name) throw bad("a chunk stands without its file");
    if (sizeOf(fields, "chunkOffset") !== open.reachedBytes) throw bad(`the chunks of ${show(open.name)} leave a gap`);
    const chunk = chunkOf(fields, sizeOf(fields, "chunkSize"), fields.chunkDigest);
    open.chunks.push(chunk);
    open.reachedBytes += chunk.sizeBytes;
  }

  #close(): void {
    if (this.#open === undefined) return;
    const { name, sizeBytes, digest } = this.#open;
    this.#entries.push({ name, sizeBytes, digest, chunks: placeChunks(this.#open) });
    this.#open = undefined;
  }
}

const noContent = { sizeBytes: 0, digest: "", chunks: [] } as const;

function openFile(fields: Fields, name: string, sizeBytes: number, dataEndBytes: number): OpenFile {
  const digest = hexOf(fields.digest);
  if (digest === undefined) throw bad(`${show(name)} has no digest`);
  const endBytes = sizeOf(fields, "endOffset");
  if (endBytes > dataEndBytes) throw bad(`${show(name)} reaches beyond the data`);
  // A file of one chunk has no keys of a chunk.
  const first =
    fields.chunkDigest === undefined
      ? { ...chunkOf(fields, sizeBytes, fields.digest), isZeros: false }
      : chunkOf(fields, sizeOf(fields, "chunkSize"), fields.chunkDigest);
  return { name, sizeBytes, digest, endBytes, chunks: [first], reachedBytes: first.sizeBytes };
}

function chunkOf(fields: Fields, sizeBytes: number, digest: unknown): OpenChunk {
  const hex = hexOf(digest);
  if (hex === undefined) throw bad("a chunk has no digest");
  if (sizeBytes === 0) throw bad("a chunk is empty");
  const isZeros = fields.chunkType === "zeros";
  return { digest: hex, sizeBytes, offsetBytes: sizeOf(fields, "offset"), isZeros };
}

/** Each frame ends where the next begins, the last where the file's data end. */
function placeChunks({ chunks, endBytes, name, reachedBytes, sizeBytes }: OpenFile): readonly TocChunk[] {
  if (reachedBytes !== sizeBytes) throw bad(`the chunks of ${show(name)} are not its ${sizeBytes} bytes`);
  return chunks.map(({ digest, sizeBytes, offsetBytes, isZeros }, index) => {
    const end = index + 1 < chunks.length ? element(chunks, index + 1).offsetBytes : endBytes;
    const lengthBytes = end - offsetBytes;
    if (offsetBytes === 0 || lengthBytes <= 0) throw bad(`the frames of ${show(name)} are out of order`);
    return { digest, sizeBytes, frame: isZeros ? undefined : { offsetBytes, lengthBytes } };
  });
}

function sizeOf(fields: Fields, key: keyof Fields): number {
  const value = fields[key] ?? 0;
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 0) throw bad(`a ${key} is no size`);
  return value;
}

function show(name: string): string {
  return JSON.stringify(name.slice(0, 160));
}

function bad(state: string): OsdeployError {
  return new OsdeployError("bad-format", `Cannot use the layer's table of contents: ${state}`);
}

function unsupported(state: string): OsdeployError {
  return new OsdeployError("unsupported", `Cannot use the layer's table of contents: ${state}`);
}
