import type { ByteString } from "../core/bytes/byte-string.ts";
import { dumpLines } from "../core/tree/dump-writer.ts";
import { type ImageRequest, readImageTree, withImage } from "./image-tree.ts";
import type { System } from "./system.ts";

export interface DumpImageResult {
  /** Lines of composefs-dump(5), each with its newline. */
  readonly lines: Iterable<ByteString>;
}

/** The tree of an image as composefs-dump(5) text: what mkcomposefs and cfsctl read. */
export async function dumpImage(system: System, request: ImageRequest): Promise<DumpImageResult> {
  return await withImage(system, request, (repo, image) => ({ lines: dumpLines(readImageTree(repo, image, request)) }));
}
