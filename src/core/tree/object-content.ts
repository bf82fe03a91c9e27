import type { ByteString } from "../bytes/byte-string.ts";
import type { ExternalContent } from "./inode.ts";

/**
 * Content that lies where composefs keeps the object with its digest, as nearly all content does.
 *
 * An operating system has tens of thousands of these. So the path is made when it is asked for, and only the digest kept.
 */
export class ObjectContent implements ExternalContent {
  readonly kind = "external";
  readonly sizeBytes: bigint;
  readonly digest: string;

  constructor(digest: string, sizeBytes: bigint) {
    this.digest = digest;
    this.sizeBytes = sizeBytes;
  }

  get backingPath(): ByteString {
    return `${this.digest.slice(0, 2)}/${this.digest.slice(2)}` as ByteString;
  }
}

/** Whether `path` is that of the object with this digest: `ab/cdef…` for `abcdef…`. Makes no string of that length. */
export function isObjectPath(path: ByteString, digest: string): boolean {
  return (
    path.length === digest.length + 1 &&
    path.charCodeAt(2) === 0x2f &&
    path.startsWith(digest.slice(0, 2)) &&
    path.endsWith(digest.slice(2))
  );
}

/** Content that lies at `backingPath` and measures to `digest`, in the form that takes the least memory. */
export function externalContent(
  sizeBytes: bigint,
  { backingPath, digest }: Pick<ExternalContent, "backingPath" | "digest">,
): ExternalContent {
  if (digest !== undefined && backingPath !== undefined && isObjectPath(backingPath, digest)) {
    return new ObjectContent(digest, sizeBytes);
  }
  return { kind: "external", sizeBytes, backingPath, digest };
}
