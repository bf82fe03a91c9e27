import { OsdeployError } from "../core/errors.ts";
import type { Fd, LinuxFiles, OpenMode, Path } from "./linux.ts";

/** Where the bytes of a file come from: memory, or a file that is cloned or copied. */
export type ContentSource =
  | { readonly kind: "bytes"; readonly bytes: Uint8Array }
  | { readonly kind: "file"; readonly path: Path };

const copyChunkBytes = 256 * 1024;

/** Writes a new file from `source`: shares blocks where the file system can, else copies. */
export function copyContent(files: LinuxFiles, source: ContentSource, path: Path): void {
  if (source.kind === "bytes") {
    files.writeNewFile(path, source.bytes, 0o600);
  } else if (!files.cloneFile(source.path, path, 0o600)) {
    withOpen(files, source.path, "read", (from) =>
      withOpen(files, path, "create", (to) => readPieces(files, from, (piece) => files.write(to, piece))),
    );
  }
}

/** Opens `path` for the time of `use`; new files are readable by their owner only. */
export function withOpen<T>(files: LinuxFiles, path: Path, mode: OpenMode, use: (fd: Fd) => T): T {
  const fd = files.open(path, mode, 0o600);
  try {
    return use(fd);
  } finally {
    files.close(fd);
  }
}

/** Reads from the file's position to its end. The pieces share one buffer: each is valid only during its call. */
export function readPieces(files: LinuxFiles, fd: Fd, use: (piece: Uint8Array) => void): void {
  // A pipe says that it is empty. Most files are small, and room has to be made for each.
  const { sizeBytes } = files.fstat(fd);
  const buffer = new Uint8Array(sizeBytes === 0 ? copyChunkBytes : Math.min(sizeBytes, copyChunkBytes));
  for (;;) {
    const length = files.read(fd, buffer, { offset: 0, length: buffer.length });
    if (length === 0) return;
    use(buffer.subarray(0, length));
  }
}

/**
 * All bytes of an open file, pipe or device from its position on.
 *
 * @throws OsdeployError `limit-exceeded` when there are more than `limitBytes`.
 */
export function readToEnd(files: LinuxFiles, fd: Fd, limitBytes: number): Uint8Array {
  // A pipe says that it is empty: the end is where nothing more comes.
  let bytes = new Uint8Array(Math.min(Math.max(files.fstat(fd).sizeBytes, copyChunkBytes), limitBytes) + 1);
  for (let length = 0; ; ) {
    const count = files.read(fd, bytes, { offset: length, length: bytes.length - length });
    if (count === 0) return bytes.subarray(0, length);
    length += count;
    if (length > limitBytes) {
      throw new OsdeployError("limit-exceeded", `Cannot read a file of more than ${limitBytes} bytes`);
    }
    if (length < bytes.length) continue;
    const grown = new Uint8Array(Math.min(2 * length, limitBytes + 1));
    grown.set(bytes);
    bytes = grown;
  }
}
