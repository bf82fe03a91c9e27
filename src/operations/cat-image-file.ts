import { type ByteString, toBytes, toText } from "../core/bytes/byte-string.ts";
import { parseObjectId } from "../core/digest/object-id.ts";
import { assert, OsdeployError } from "../core/errors.ts";
import { kindNames } from "../core/tree/kind-names.ts";
import { followPath } from "../core/tree/tree-path.ts";
import { openRootImage } from "../repo/object-graph.ts";
import { streamObject } from "../repo/stream-object.ts";
import { type ImageRequest, readImageTree, withImage } from "./image-tree.ts";
import { noSuchPath } from "./list-image-files.ts";
import type { System } from "./system.ts";

export interface CatImageFileRequest extends ImageRequest {
  readonly path: ByteString;
  /** Takes the bytes, in order. */
  readonly write: (bytes: Uint8Array) => Promise<void>;
}

export interface CatImageFileResult {
  readonly sizeBytes: number;
}

/**
 * Writes out the content of one file of an image; symlinks are followed inside the image.
 *
 * @throws OsdeployError `not-found` when there is no such file, or it is something else.
 */
export async function catImageFile(system: System, request: CatImageFileRequest): Promise<CatImageFileResult> {
  return await withImage(system, request, async (repo, image) => {
    const inode = followPath(readImageTree(repo, image, request, openRootImage), request.path);
    if (inode === undefined) throw noSuchPath(request.image, request.path);
    if (inode.kind !== "regular") {
      throw new OsdeployError(
        "not-found",
        `Cannot read ${JSON.stringify(toText(request.path))}: it is a ${kindNames[inode.kind]}`,
      );
    }
    const { content } = inode;
    if (content.kind === "inline") {
      await request.write(toBytes(content.bytes));
      return { sizeBytes: content.bytes.length };
    }
    assert(content.digest !== undefined, "every external file of a root image has a digest");
    await streamObject(repo, parseObjectId(content.digest, repo.algorithm), request.write);
    return { sizeBytes: Number(content.sizeBytes) };
  });
}
