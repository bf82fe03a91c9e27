import { type ByteString, toText } from "../core/bytes/byte-string.ts";
import { OsdeployError, unless } from "../core/errors.ts";
import type { Descriptor } from "../core/oci/descriptor.ts";
import { kindNames } from "../core/tree/kind-names.ts";
import type { LinuxFiles, Path } from "../linux/linux.ts";
import type { BlobLocation, BlobRange } from "./image-source.ts";

/** Bytes read at once: few calls, and no noticeable pause of the main thread. */
const chunkBytes = 256 * 1024;

/**
 * The range of a whole regular file, also of one that a symlink leads to: people point with one at the newest archive, and
 * build tools fill layouts with them. Wherever it leads, what counts is the digest. Undefined where there is nothing.
 *
 * @throws OsdeployError `bad-format` for what is no regular file.
 */
export function wholeFile(files: LinuxFiles, path: Path): BlobLocation | undefined {
  const real = files.lstatIfExists(path)?.kind === "symlink" ? unless("not-found", () => files.realPath(path)) : path;
  const stat = real === undefined ? undefined : files.lstatIfExists(real);
  if (real === undefined || stat === undefined) return undefined;
  if (stat.kind !== "regular")
    throw new OsdeployError("bad-format", `Cannot read ${toText(path)}: it is a ${kindNames[stat.kind]}, not a file`);
  return { path: real, offsetBytes: 0, lengthBytes: stat.sizeBytes };
}

/**
 * All bytes of a range.
 *
 * @throws OsdeployError `limit-exceeded` when it is longer than `limitBytes`, `bad-format` when the file ends before it.
 */
export function readRange(files: LinuxFiles, range: BlobLocation, limitBytes: number): Uint8Array {
  if (range.lengthBytes > limitBytes) {
    throw new OsdeployError(
      "limit-exceeded",
      `Cannot read ${toText(range.path)}: ${range.lengthBytes} bytes, ${limitBytes} are allowed`,
    );
  }
  const bytes = new Uint8Array(range.lengthBytes);
  const fd = files.open(range.path, "read");
  try {
    readFully(files, fd, { target: bytes, position: range.offsetBytes, path: range.path });
  } finally {
    files.close(fd);
  }
  return bytes;
}

/** The bytes of a range in pieces, from `offsetBytes` on. Between two pieces others get their turn. */
export function streamRange(files: LinuxFiles, range: BlobLocation, offsetBytes: number): AsyncGenerator<Uint8Array> {
  return readPieces(files, range, { offsetBytes, newPiece: (length) => new Uint8Array(length) });
}

/** The bytes of a range in pieces that are valid until the next one is asked for: all have the same memory. */
export function lendRange(files: LinuxFiles, range: BlobLocation): AsyncGenerator<Uint8Array> {
  const room = new Uint8Array(Math.min(chunkBytes, range.lengthBytes));
  return readPieces(files, range, { offsetBytes: 0, newPiece: (length) => room.subarray(0, length) });
}

async function* readPieces(
  files: LinuxFiles,
  range: BlobLocation,
  { offsetBytes, newPiece }: { readonly offsetBytes: number; readonly newPiece: (length: number) => Uint8Array },
): AsyncGenerator<Uint8Array> {
  const fd = files.open(range.path, "read");
  try {
    for (let at = offsetBytes; at < range.lengthBytes; at += chunkBytes) {
      const chunk = newPiece(Math.min(chunkBytes, range.lengthBytes - at));
      readFully(files, fd, { target: chunk, position: range.offsetBytes + at, path: range.path });
      yield chunk;
    }
  } finally {
    files.close(fd);
  }
}

/** Where `range` of a blob lies that lies at `location`. @throws OsdeployError `bad-format` when it goes beyond the end. */
export function partOf(location: BlobLocation, blob: Descriptor, range: BlobRange): BlobLocation {
  checkRange(blob, range);
  return { path: location.path, offsetBytes: location.offsetBytes + range.offsetBytes, lengthBytes: range.lengthBytes };
}

/** @throws OsdeployError `bad-format` when `range` is no part of the blob: tables in images name such ranges. */
export function checkRange(blob: Descriptor, { offsetBytes, lengthBytes }: BlobRange): void {
  const numbers = [offsetBytes, lengthBytes].every((number) => Number.isSafeInteger(number) && number >= 0);
  if (numbers && offsetBytes + lengthBytes <= blob.sizeBytes) return;
  throw new OsdeployError(
    "bad-format",
    `Cannot read ${lengthBytes} bytes at ${offsetBytes} of ${blob.digest}: it has ${blob.sizeBytes} bytes`,
  );
}

function readFully(
  files: LinuxFiles,
  fd: ReturnType<LinuxFiles["open"]>,
  { target, position, path }: { readonly target: Uint8Array; readonly position: number; readonly path: ByteString },
): void {
  let done = 0;
  while (done < target.length) {
    const count = files.read(fd, target, { offset: done, length: target.length - done, position: position + done });
    if (count === 0) throw new OsdeployError("bad-format", `Cannot read ${toText(path)}: it ends in the middle`);
    done += count;
  }
}
