import { type ByteString, fromBytes, fromText } from "../core/bytes/byte-string.ts";
import { digestLength, type ObjectId, type VerityAlgorithm } from "../core/digest/object-id.ts";
import { sha256Hex } from "../core/digest/sha256-hex.ts";
import type { TocEntry } from "../core/oci/zstd-chunked-toc.ts";
import { maxInlineBytes } from "../core/tar/tar-scanner.ts";
import type { FileContent, InlineContent } from "../core/tree/inode.ts";
import { ObjectContent } from "../core/tree/object-content.ts";
import type { ContentTable, FoundContent } from "../repo/content-table.ts";
import { isVouchedFor } from "../repo/object-check.ts";
import type { Repo } from "../repo/repo.ts";
import { objectPath } from "../repo/repo-paths.ts";

/** A content that is not here. Its digest is a made-up one, equal for equal contents, and no object has it. */
class AwaitedObject extends ObjectContent {
  readonly sha256: string;

  constructor(sha256: string, sizeBytes: number, algorithm: VerityAlgorithm) {
    super(sha256.repeat(digestLength(algorithm) / 32), BigInt(sizeBytes));
    this.sha256 = sha256;
  }
}

/** A content of a few bytes that are not here; made-up ones stand for them. */
class AwaitedBytes implements InlineContent {
  readonly kind = "inline";
  readonly bytes: ByteString;
  readonly sha256: string;

  constructor(sha256: string, sizeBytes: number) {
    this.bytes = fromText(sha256.slice(0, sizeBytes));
    this.sha256 = sha256;
  }
}

/** Stands for a content that is not here: all that is known of it is its size and its sha256 (hex). */
function awaitedContent(sha256: string, sizeBytes: number, algorithm: VerityAlgorithm): FileContent {
  return sizeBytes > maxInlineBytes
    ? new AwaitedObject(sha256, sizeBytes, algorithm)
    : new AwaitedBytes(sha256, sizeBytes);
}

/** The sha256 (hex) of a content that is not here; undefined for one that is. */
export function awaitedDigest(content: FileContent): string | undefined {
  return content instanceof AwaitedObject || content instanceof AwaitedBytes ? content.sha256 : undefined;
}

/** Which contents the repo holds, as a pull would find them: by the index of contents, where the object is there. */
export class HeldContents {
  readonly #repo: Repo;
  readonly #table: ContentTable | undefined;
  readonly #there = new Map<ObjectId, boolean>();

  constructor(repo: Repo, table: ContentTable | undefined) {
    this.#repo = repo;
    this.#table = table;
  }

  /** Whether there is an index at all. Without one a pull does not try to get parts. */
  get isIndexed(): boolean {
    return this.#table !== undefined;
  }

  find(digest: string, sizeBytes: number): FoundContent | undefined {
    const found = this.#table?.find(digest, sizeBytes);
    return found?.place.kind === "object" && !this.#isThere(found.place.id) ? undefined : found;
  }

  /** Whether the content is an object here, so that nothing new is written for it. */
  isObject({ digest, sizeBytes }: Pick<TocEntry, "digest" | "sizeBytes">): boolean {
    const place = this.find(digest, sizeBytes)?.place;
    return place?.kind === "object" && place.isWhole;
  }

  /** The content of an entry: what the repo holds of it, or what stands for it. */
  contentOf({ digest, sizeBytes }: Pick<TocEntry, "digest" | "sizeBytes">): FileContent {
    const place = this.find(digest, sizeBytes)?.place;
    if (sizeBytes > maxInlineBytes) {
      return place?.kind === "object" && place.isWhole
        ? new ObjectContent(place.id, BigInt(sizeBytes))
        : awaitedContent(digest, sizeBytes, this.#repo.algorithm);
    }
    // The index only claims; of so few bytes it is easily seen.
    return place?.kind === "inline" && sha256Hex(place.bytes) === digest
      ? { kind: "inline", bytes: fromBytes(place.bytes) }
      : awaitedContent(digest, sizeBytes, this.#repo.algorithm);
  }

  #isThere(id: ObjectId): boolean {
    const known = this.#there.get(id);
    if (known !== undefined) return known;
    const { files, path: repoPath, algorithm, secure } = this.#repo;
    const isThere =
      files.lstatIfExists(objectPath(repoPath, id)) !== undefined &&
      isVouchedFor(files, { repoPath, algorithm, secure }, id);
    this.#there.set(id, isThere);
    return isThere;
  }
}
