import { BlobHasher } from "../core/digest/blob-hasher.ts";
import { parseLayerDigest } from "../core/digest/oci-digest.ts";
import { assert, OsdeployError } from "../core/errors.ts";
import { type BundledParts, type BundledRange, findBundled, placeRanges } from "../core/oci/bundle-document.ts";
import type { FetchRange } from "../core/oci/plan-partial-pull.ts";
import type { ChunkedTables } from "../core/oci/zstd-chunked-tables.ts";
import type { ChunkedToc, FramePlace } from "../core/oci/zstd-chunked-toc.ts";
import type { ImageSource, ResolvedLayer } from "../image-source/image-source.ts";
import type { Fd, Path } from "../linux/linux.ts";
import { readToc, tablesRange, unpackTarSplit } from "../repo/chunked-tables.ts";
import { FetchedFrames } from "../repo/fetched-frames.ts";
import { requestsInFlight } from "./fetch-ranges.ts";
import { allowedTarBytes, readPart } from "./partial-stage.ts";
import { checkInterrupted, type System } from "./system.ts";

/** A layer of which parts are wanted. */
export interface PartsToFetch {
  readonly source: ImageSource;
  readonly layer: ResolvedLayer;
  readonly tables: ChunkedTables;
  readonly toc: ChunkedToc;
  /** The last of them are the tables. */
  readonly ranges: readonly FetchRange[];
  /** The new file that gets them, one after the other. */
  readonly path: Path;
  /** Told how many bytes came so far. */
  readonly advance: (bytes: number) => void;
}

/**
 * Fetches parts of a layer, and compares every content in them with the table of contents, and the tables themselves with
 * what the manifest says: nobody can compare the layer's
 * own digest, and where the bundle is used nothing can be fetched again.
 *
 * @throws OsdeployError `digest-mismatch`, `bad-format` or `limit-exceeded` when a part is not what the table says; those of
 * the source.
 */
export async function fetchParts(system: System, work: PartsToFetch): Promise<BundledParts> {
  const { files } = system.linux;
  const ranges = placeRanges(work.ranges);
  const fd = files.open(work.path, "create", 0o644);
  try {
    await fetchAll(system, { ...work, ranges, fd });
    checkTables(system, work, ranges);
    await checkContents(system, work, ranges);
  } finally {
    files.close(fd);
  }
  return { blob: measure(system, work.path), ranges };
}

async function fetchAll(
  system: System,
  { source, layer, ranges, fd, advance }: PartsToFetch & { readonly ranges: readonly BundledRange[]; readonly fd: Fd },
): Promise<void> {
  const { files } = system.linux;
  const queue = [...ranges];
  let fetched = 0;
  let isOver = false;
  const lane = async () => {
    for (let range = queue.shift(); range !== undefined && !isOver; range = queue.shift()) {
      checkInterrupted(system.signal);
      let at = range.startBytes;
      for await (const piece of source.readBlobRange(layer, range)) {
        files.writeAt(fd, piece, at);
        at += piece.length;
        fetched += piece.length;
        advance(fetched);
      }
    }
  };
  const lanes = Array.from({ length: requestsInFlight }, async () => {
    try {
      await lane();
    } catch (error) {
      isOver = true;
      throw error;
    }
  });
  const failed = (await Promise.allSettled(lanes)).find((outcome) => outcome.status === "rejected");
  if (failed !== undefined) throw failed.reason;
}

/** They were fetched before, to plan with, but what is in the file came now. */
function checkTables({ linux }: System, { tables, path }: PartsToFetch, ranges: readonly BundledRange[]): void {
  const startBytes = findBundled(ranges, tablesRange(tables));
  assert(startBytes !== undefined, "the tables are among the parts");
  const { lengthBytes } = tablesRange(tables);
  const bytes = readPart(linux.files, { path, offsetBytes: startBytes }, { offsetBytes: 0, lengthBytes });
  unpackTarSplit(tables, readToc(tables, bytes), bytes);
}

/** Contents after whose bytes others get their turn. */
const turnBytes = 8 * 1024 * 1024;

async function checkContents(
  system: System,
  { layer, toc, path }: PartsToFetch,
  ranges: readonly BundledRange[],
): Promise<void> {
  const fetchBytes = ranges.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0);
  let left = allowedTarBytes({ knownBytes: 0, fetchBytes }, new Uint8Array());
  let sinceTurn = 0;
  const whole = { ranges: [{ offsetBytes: 0, lengthBytes: fetchBytes }], pathOf: () => path, waitFor: () => {} };
  const frames = new FetchedFrames(system.linux.files, whole);
  try {
    for (const { chunks } of toc.entries) {
      for (const { digest, frame, sizeBytes } of chunks) {
        const at = frame === undefined ? undefined : findBundled(ranges, frame);
        if (frame === undefined || at === undefined) continue;
        left -= sizeBytes;
        if (left < 0)
          throw new OsdeployError("limit-exceeded", `Cannot bundle layer ${layer.digest}: it grows too much`);
        checkContent(frames, { offsetBytes: at, lengthBytes: frame.lengthBytes }, { layer, digest, sizeBytes });
        sinceTurn += sizeBytes;
        if (sinceTurn > turnBytes) {
          sinceTurn = 0;
          await new Promise<void>((resolve) => setImmediate(resolve));
          checkInterrupted(system.signal);
        }
      }
    }
  } finally {
    frames.close();
  }
}

function checkContent(
  frames: FetchedFrames,
  frame: FramePlace,
  { layer, digest, sizeBytes }: { readonly layer: ResolvedLayer; readonly digest: string; readonly sizeBytes: number },
): void {
  const hasher = new BlobHasher("sha256");
  frames.read(frame, sizeBytes, (piece) => hasher.update(piece));
  const measured = hasher.measured();
  if (measured === `sha256:${digest}`) return;
  const message = `Cannot bundle layer ${layer.digest}: a part of it measures to ${measured}, not to sha256:${digest}`;
  throw new OsdeployError("digest-mismatch", message, { facts: { layer: layer.digest, measured } });
}

const pieceBytes = 1024 * 1024;

function measure({ linux, signal }: System, path: Path): BundledParts["blob"] {
  const { files } = linux;
  const hasher = new BlobHasher("sha256");
  const piece = new Uint8Array(pieceBytes);
  const fd = files.open(path, "read");
  try {
    for (let sizeBytes = 0; ; ) {
      const got = files.read(fd, piece, { offset: 0, length: piece.length });
      if (got === 0) return { digest: parseLayerDigest(hasher.measured()), sizeBytes };
      hasher.update(piece.subarray(0, got));
      sizeBytes += got;
      checkInterrupted(signal);
    }
  } finally {
    files.close(fd);
  }
}
