import { fromText } from "../core/bytes/byte-string.ts";
import type { BlobLocation, ImageSource, ResolvedLayer } from "../image-source/image-source.ts";
import type { LinuxFiles } from "../linux/linux.ts";
import { childPath } from "../linux/path.ts";
import type { StagingRun } from "../repo/staging-run.ts";
import type { LayerCounters } from "./layer-feed.ts";

/** A layer that is being fetched into a file, or that lies in one already. */
export interface LayerFetch {
  readonly location: {
    readonly path: BlobLocation["path"];
    readonly offsetBytes: number;
    readonly lengthBytes: number;
  };
  /** Settles when the whole blob is in the file; fails when it cannot be fetched, after the import was stopped. */
  readonly done: Promise<void>;
  /** Drops the file, where it was made for the fetch. */
  discard(): void;
}

/**
 * Begins to bring a layer where a thread can read it.
 *
 * A blob on this machine stays where it is. Others are written to a file in the staging area while the import already
 * reads it: the network never waits for the processor, and no bytes go from thread to thread.
 */
export function startFetch(
  files: LinuxFiles,
  request: {
    readonly source: ImageSource;
    readonly run: StagingRun;
    readonly layer: ResolvedLayer;
    readonly counters: LayerCounters;
  },
): LayerFetch {
  const { counters, layer, run, source } = request;
  const location = source.locateBlob(layer);
  if (location !== undefined) {
    counters.available = location.lengthBytes;
    return { location, done: Promise.resolve(), discard: () => {} };
  }
  const path = childPath(run.newStagingOptions().directory, fromText("layer"));
  const done = spool(files, { source, layer, counters, path });
  // Whoever waits for the layer sees the failure; until then it must not count as unhandled.
  done.catch(() => counters.stop());
  return {
    location: { path, offsetBytes: 0, lengthBytes: layer.sizeBytes },
    done,
    discard: () => files.unlink(path),
  };
}

async function spool(
  files: LinuxFiles,
  {
    source,
    layer,
    counters,
    path,
  }: { source: ImageSource; layer: ResolvedLayer; counters: LayerCounters; path: BlobLocation["path"] },
): Promise<void> {
  const fd = files.open(path, "create", 0o600);
  try {
    let written = 0;
    for await (const piece of source.openBlob(layer)) {
      if (counters.stopped) return;
      files.write(fd, piece);
      written += piece.length;
      counters.available = written;
    }
  } finally {
    files.close(fd);
  }
}
