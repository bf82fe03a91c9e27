import { fromText } from "../core/bytes/byte-string.ts";
import type { BlobLocation, ImageSource, ResolvedLayer } from "../image-source/image-source.ts";
import type { LinuxFiles, Path } from "../linux/linux.ts";
import { childPath } from "../linux/path.ts";
import type { PartialLayer } from "../repo/partial-layer.ts";
import type { StagingRun } from "../repo/staging-run.ts";
import type { LayerCounters } from "./layer-feed.ts";

/** A layer that is being fetched into a file, or that lies in one already. */
export interface LayerFetch {
  readonly location: BlobLocation;
  /** Whether other bytes may come when the layer is fetched once more; those of a file of this machine do not change. */
  readonly canRepeat: boolean;
  /** Settles when the whole blob is in the file; fails when it cannot be fetched, after the import was stopped. */
  readonly done: Promise<void>;
  /** Says that the layer was imported. A file that can serve a later run stays until the layer is published. */
  release(): void;
  /** Removes the file, where it was made for the fetch: its bytes are not the layer's. */
  drop(): void;
}

/** What a fetch needs to know. */
export interface FetchRequest {
  readonly source: ImageSource;
  readonly run: StagingRun;
  readonly layer: ResolvedLayer;
  readonly counters: LayerCounters;
  /** Measures the link by the way. */
  readonly partial?: { measured(pieces: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> } | undefined;
}

/**
 * Begins to bring a layer where a thread can read it.
 *
 * A blob on this machine stays where it is. Others are written to a file in the staging area while the import already
 * reads it: the network never waits for the processor, and no bytes go from thread to thread. The file goes on where an
 * earlier run ended, however that was.
 */
export function startFetch(files: LinuxFiles, request: FetchRequest): LayerFetch {
  const { counters, layer, source } = request;
  const location = source.locateBlob(layer);
  if (location !== undefined) {
    counters.available = location.lengthBytes;
    return { location, canRepeat: false, done: Promise.resolve(), release: () => {}, drop: () => {} };
  }
  const partial = openPartial(request);
  return partial === undefined ? fetchAlone(files, request) : fetchRest(request, partial);
}

/** The file of the layer; a longer one than the layer is nothing to go on with. */
function openPartial({ run, layer }: FetchRequest): PartialLayer | undefined {
  const partial = run.openPartialLayer(layer.digest);
  if (partial === undefined || partial.sizeBytes <= layer.sizeBytes) return partial;
  run.dropPartialLayer(layer.digest);
  return run.openPartialLayer(layer.digest);
}

function fetchRest(request: FetchRequest, partial: PartialLayer): LayerFetch {
  const { layer, run, counters } = request;
  counters.available = partial.sizeBytes;
  const done = spool(request, partial.sizeBytes, (piece) => partial.append(piece));
  return {
    location: { path: partial.path, offsetBytes: 0, lengthBytes: layer.sizeBytes },
    canRepeat: true,
    done,
    release: () => {},
    drop: () => run.dropPartialLayer(layer.digest),
  };
}

/** Another run is fetching the same layer: this one takes a file of its own. */
function fetchAlone(files: LinuxFiles, request: FetchRequest): LayerFetch {
  const path: Path = childPath(request.run.newStagingOptions().directory, fromText("layer"));
  const done = withOpenAsync(files, path, (write) => spool(request, 0, write));
  const remove = () => files.unlink(path);
  const location = { path, offsetBytes: 0, lengthBytes: request.layer.sizeBytes };
  return { location, canRepeat: true, done, release: remove, drop: remove };
}

async function withOpenAsync(
  files: LinuxFiles,
  path: Path,
  use: (write: (piece: Uint8Array) => void) => Promise<void>,
): Promise<void> {
  const fd = files.open(path, "create", 0o600);
  try {
    await use((piece) => files.write(fd, piece));
  } finally {
    files.close(fd);
  }
}

function spool(request: FetchRequest, offsetBytes: number, write: (piece: Uint8Array) => void): Promise<void> {
  const done = spoolPieces(request, offsetBytes, write);
  // Whoever waits for the layer sees the failure; until then it must not count as unhandled.
  done.catch(() => request.counters.stop());
  return done;
}

async function spoolPieces(
  { source, layer, counters, partial }: FetchRequest,
  offsetBytes: number,
  write: (piece: Uint8Array) => void,
): Promise<void> {
  if (counters.stopped || offsetBytes === layer.sizeBytes) return;
  let written = offsetBytes;
  const pieces = source.openBlob(layer, { offsetBytes });
  for await (const piece of partial?.measured(pieces) ?? pieces) {
    // Also when the import has stopped: what came need not come again.
    write(piece);
    written += piece.length;
    counters.available = written;
    if (counters.stopped) return;
  }
}
