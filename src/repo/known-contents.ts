import { BlobHasher } from "../core/digest/blob-hasher.ts";
import { sha256Hex } from "../core/digest/sha256-hex.ts";
import { OsdeployError } from "../core/errors.ts";
import { withOpen } from "../linux/file-content.ts";
import type { LinuxFiles, Path } from "../linux/linux.ts";
import type { ContentPlace, ContentTable } from "./content-table.ts";
import type { ObjectStaging } from "./object-staging.ts";

/** A content that is here, and where it is read from. */
export interface KnownContent {
  readonly place: ContentPlace;
  /** The object's file; undefined where the content is inline. */
  readonly path: Path | undefined;
}

/**
 * The contents of a table whose objects the repo has, and the kernel vouches for where it is to. Of each only the number
 * of its record is kept: a layer has ten thousands.
 */
export class KnownContents {
  readonly #table: ContentTable;
  readonly #staging: ObjectStaging;

  constructor(table: ContentTable, staging: ObjectStaging) {
    this.#table = table;
    this.#staging = staging;
  }

  /** The record of a content that can be used. */
  find(digest: string, sizeBytes: number): number | undefined {
    const record = this.#table.findRecord(digest, sizeBytes);
    if (record === undefined) return undefined;
    const place = this.#table.placeOf(record);
    return place.kind === "inline" || this.#staging.has(place.id) ? record : undefined;
  }

  /** Where the content of a record that was found is read from. */
  at(record: number): KnownContent {
    const place = this.#table.placeOf(record);
    return { place, path: place.kind === "inline" ? undefined : this.#staging.pathOf(place.id) };
  }
}

/**
 * Reads a known object of exactly `sizeBytes` straight into `target`, which has room for one byte more.
 *
 * @throws OsdeployError `damaged` when the object does not hold what it should.
 */
export function readKnownObject(
  files: LinuxFiles,
  { known, sizeBytes }: { readonly known: KnownContent; readonly sizeBytes: number },
  target: Uint8Array,
): void {
  // To its end, which a byte more of room shows without a further call.
  const got = files.readStart(pathOf(known), target, sizeBytes + 1);
  if (got !== sizeBytes) throw unlikeClaimed(known, got, sizeBytes);
}

/**
 * Hands a known content to `use` in pieces, which are parts of `scratch`.
 *
 * @throws OsdeployError `damaged` when the object does not hold what it should.
 */
export function readKnownPieces(
  files: LinuxFiles,
  content: { readonly known: KnownContent; readonly sizeBytes: number; readonly isWhole: boolean },
  { scratch, use }: { readonly scratch: Uint8Array; readonly use: (piece: Uint8Array) => void },
): void {
  const { known, sizeBytes, isWhole } = content;
  const { place } = known;
  if (place.kind === "inline") {
    use(place.bytes);
    return;
  }
  withOpen(files, pathOf(known), "read", (fd) => {
    let done = 0;
    while (done < sizeBytes) {
      const length = Math.min(scratch.length, sizeBytes - done);
      const got = files.read(fd, scratch, { offset: 0, length, position: place.offsetBytes + done });
      if (got === 0) throw unlikeClaimed(known, done, sizeBytes);
      use(scratch.subarray(0, got));
      done += got;
    }
    if (isWhole && files.fstat(fd).sizeBytes !== sizeBytes) throw unlikeClaimed(known, done + 1, sizeBytes);
  });
}

/** Whether a known content has the sha256 that the index claims. */
export function isAsClaimed(
  files: LinuxFiles,
  content: { readonly known: KnownContent; readonly sizeBytes: number; readonly digest: string },
  scratch: Uint8Array,
): boolean {
  if (content.known.place.kind === "inline") return sha256Hex(content.known.place.bytes) === content.digest;
  const hasher = new BlobHasher("sha256");
  try {
    readKnownPieces(files, { ...content, isWhole: false }, { scratch, use: (piece) => hasher.update(piece) });
  } catch (error) {
    if (error instanceof OsdeployError) return false;
    throw error;
  }
  return hasher.measured() === `sha256:${content.digest}`;
}

function pathOf(known: KnownContent): Path {
  if (known.path === undefined) throw unlikeClaimed(known, 0, 0);
  return known.path;
}

function unlikeClaimed(known: KnownContent, got: number, wanted: number): OsdeployError {
  const name = known.place.kind === "object" ? known.place.id : "content";
  return new OsdeployError("damaged", `Cannot use object ${name}: it gave ${got} bytes instead of ${wanted}`);
}
