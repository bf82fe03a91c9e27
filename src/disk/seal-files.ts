import type { ObjectId, VerityAlgorithm } from "../core/digest/object-id.ts";
import { VerityTailBuilder } from "../core/disk/verity-tail.ts";
import { readPieces, withOpen } from "../linux/file-content.ts";
import type { LinuxFiles, Path } from "../linux/linux.ts";
import { multiBufferHasher } from "../linux/multi-buffer-hasher.ts";

/** What a file was before its tail came. */
export interface SealedFile {
  readonly sizeBytes: number;
  readonly digest: ObjectId;
}

/**
 * Puts the verity tail behind the bytes of a file, so that an ext4 file system that takes it over with its old size has it
 * sealed. The file itself becomes something else by it: only for files that nobody else uses.
 */
export function appendVerityTail(files: LinuxFiles, path: Path, algorithm: VerityAlgorithm): SealedFile {
  return withOpen(files, path, "update", (fd) => {
    const { sizeBytes } = files.fstat(fd);
    const builder = new VerityTailBuilder(algorithm, sizeBytes, multiBufferHasher(algorithm));
    readPieces(files, fd, (piece) => builder.update(piece));
    const { digest, offsetBytes, bytes } = builder.finish();
    files.writeAt(fd, bytes, offsetBytes);
    return { sizeBytes, digest };
  });
}
