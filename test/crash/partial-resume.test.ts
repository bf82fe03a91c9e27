import { expect, test } from "vitest";
import { fromText } from "../../src/core/bytes/byte-string.ts";
import { parseImageReference } from "../../src/core/oci/reference.ts";
import type { ImageSource } from "../../src/image-source/image-source.ts";
import { openImageSource } from "../../src/image-source/open-image-source.ts";
import { checkRepo } from "../../src/operations/check-repo.ts";
import { collectGarbage } from "../../src/operations/collect-garbage.ts";
import { requestsInFlight } from "../../src/operations/fetch-ranges.ts";
import type { ProgressEvent } from "../../src/operations/progress.ts";
import { type PulledImage, pullImage } from "../../src/operations/pull-image.ts";
import { openRepo } from "../../src/repo/repo.ts";
import { buildChunkedImage, buildChunkedLayer, noise } from "../builders/chunked-layer.ts";
import type { LayerFile } from "../builders/oci-layer.ts";
import {
  layoutReference,
  linuxAmd64,
  machineWithRepo,
  repoOfSysroot,
  systemOn,
} from "../builders/operation-machine.ts";
import { type FakeLinux, SimulatedCrash } from "../fakes/fake-linux.ts";

/** What comes at once; a crash wastes at most one of them for each request. A frame is larger. */
const pieceBytes = 400;

/** How often each byte of each blob came. */
class Deliveries {
  readonly #counts = new Map<string, Uint8Array>();
  readonly #requests = new Map<string, number>();
  total = 0;

  /** A request for bytes of a blob: the first one is for its tables. */
  request(digest: string): void {
    this.#requests.set(digest, (this.#requests.get(digest) ?? 0) + 1);
  }

  /** Of how many layers more than the tables were asked for. */
  get begun(): number {
    return [...this.#requests.values()].filter((requests) => requests > 1).length;
  }

  add(digest: string, offsetBytes: number, lengthBytes: number): void {
    const counts = this.#counts.get(digest) ?? new Uint8Array(1_000_000);
    this.#counts.set(digest, counts);
    for (let i = 0; i < lengthBytes; i++) counts[offsetBytes + i] = (counts[offsetBytes + i] ?? 0) + 1;
    this.total += lengthBytes;
  }

  /** Bytes that came more than once. */
  get repeated(): number {
    let sum = 0;
    for (const counts of this.#counts.values()) for (const count of counts) sum += Math.max(count - 1, 0);
    return sum;
  }
}

/** A link to an image: how long an answer takes, and what comes. */
interface Link {
  readonly latencyMs: number;
  readonly deliveries: Deliveries;
}

/** The layout as if it were far away: blobs and parts of them come late, in small pieces, which are counted. */
function distant(layout: ImageSource, linux: FakeLinux, { latencyMs, deliveries }: Link): ImageSource {
  async function* counted(pieces: AsyncIterable<Uint8Array>, digest: string, start: number) {
    deliveries.request(digest);
    linux.advance(latencyMs);
    let reached = start;
    for await (const bytes of pieces) {
      for (let at = 0; at < bytes.length; at += pieceBytes) {
        const piece = bytes.subarray(at, at + pieceBytes);
        deliveries.add(digest, reached, piece.length);
        reached += piece.length;
        yield piece;
      }
    }
  }
  const registry: unknown = { latencyMs, readReferrers: async () => [] };
  return {
    ...{ describe: () => layout.describe(), reference: () => layout.reference(), close: () => layout.close() },
    ...{ bundle: () => undefined, locateBlob: () => undefined },
    registry: () => (latencyMs === 0 ? undefined : (registry as ReturnType<ImageSource["registry"]>)),
    resolve: (platform) => layout.resolve(platform),
    resolveIndex: async () => undefined,
    readBlobRange: (blob, range) => counted(layout.readBlobRange(blob, range), blob.digest, range.offsetBytes),
    openBlob: (blob, options) => counted(layout.openBlob(blob, options), blob.digest, options?.offsetBytes ?? 0),
  };
}

async function pullOn(
  linux: FakeLinux,
  tag: string,
  link: Link,
  onFinished: () => void = () => {},
): Promise<PulledImage> {
  const reference = parseImageReference(layoutReference(tag));
  const layout = openImageSource(reference, linux, { environment: { variables: {}, userId: 0 } });
  const source = distant(layout, linux, link);
  const repo = openRepo(linux, repoOfSysroot, { access: "write", wait: false });
  try {
    const image = await source.resolve(linuxAmd64);
    const progress = ({ kind }: ProgressEvent) => {
      if (kind === "layer-finished") onFinished();
    };
    return await pullImage(systemOn(linux, { progress }), repo, {
      ...{ reference, image, layers: { kind: "source", source }, tag: "os", bootable: false },
    });
  } finally {
    repo.close();
  }
}

const old: readonly LayerFile[] = [
  { path: "usr/" },
  { path: "usr/small", content: "forty bytes that stay in the splitstream" },
  { path: "usr/one", content: noise(9_000, 1) },
  { path: "usr/two", content: noise(7_000, 2) },
];
const others: readonly LayerFile[] = [{ path: "opt/" }, { path: "opt/three", content: noise(12_000, 3) }];
/** Each new file stands behind an old one, so that none is fetched by the request of another. */
const renewed: readonly LayerFile[] = [
  ...old.slice(0, 2),
  { path: "usr/a", content: noise(1_500, 4) },
  ...old.slice(2, 3),
  { path: "usr/b", content: noise(2_500, 5) },
  ...old.slice(3),
];

/** A machine that has the first version. */
async function upgradable(): Promise<FakeLinux> {
  const layersOf = async (files: readonly (readonly LayerFile[])[]) =>
    buildChunkedImage(await Promise.all(files.map((layer) => buildChunkedLayer(layer))));
  const linux = await machineWithRepo({
    v1: await layersOf([old, others]),
    v2: await layersOf([renewed, [...others, { path: "opt/c", content: noise(2_000, 6) }]]),
  });
  await pullOn(linux, "v1", { latencyMs: 0, deliveries: new Deliveries() });
  return linux.crash({ keepUnsynced: true });
}

/** Pulls, until the crash at the `failAt`th mutating call; undefined when there is none any more. */
async function crashedAt(start: FakeLinux, failAt: number, link: Link): Promise<FakeLinux | undefined> {
  const linux = start.crash({ keepUnsynced: true }, { failAt, halfWritten: true });
  try {
    await pullOn(linux, "v2", link);
    return undefined;
  } catch (error) {
    if (!(error instanceof SimulatedCrash)) throw error;
    return linux;
  }
}

/** The second is one over which layers are begun before the one before them is put together. */
const latencies = [0, 60];

test.each([
  [0, 1],
  [60, 2],
])(
  "partial pull: with answers after %i ms parts of %i layers are asked for before the first is there",
  async (latencyMs, layers) => {
    const deliveries = new Deliveries();
    const begun: number[] = [];
    const start = await upgradable();
    await pullOn(start, "v2", { latencyMs, deliveries }, () => begun.push(deliveries.begun));
    expect(begun).toEqual([layers, 2]);
  },
);

test.each(latencies)(
  "partial pull: killed at each mutating call and run again, it fetches no byte twice but of one piece a request (%i ms)",
  async (latencyMs) => {
    const start = await upgradable();
    const all = new Deliveries();
    const undisturbed = await pullOn(start.crash({ keepUnsynced: true }), "v2", { latencyMs, deliveries: all });
    // In parts: the old files did not come.
    expect(all.total).toBeLessThan(9_000 + 7_000 + 12_000);
    let resumed = 0;
    for (let failAt = 1; ; failAt++) {
      const deliveries = new Deliveries();
      const link = { latencyMs, deliveries };
      const crashed = await crashedAt(start, failAt, link);
      if (crashed === undefined) break;
      const before = deliveries.total;
      const linux = crashed.crash({ keepUnsynced: true });
      const pulled = await pullOn(linux, "v2", link);
      expect(pulled.rawImage).toBe(undisturbed.rawImage);
      expect(deliveries.repeated, `killed at call ${failAt}`).toBeLessThanOrEqual(requestsInFlight * pieceBytes);
      // Nothing came instead of what came the first time.
      expect(deliveries.total - deliveries.repeated).toBeLessThanOrEqual(all.total);
      if (before > 0 && deliveries.total > before) resumed++;
      const { problems } = await checkRepo(systemOn(linux), { repo: repoOfSysroot, metadataOnly: true });
      expect(problems.filter(({ kind }) => kind !== "leftover")).toEqual([]);
    }
    // The sweep is worth something only if it went through the middle of ranges.
    expect(resumed).toBeGreaterThan(10);
  },
  300_000,
);

test.each(latencies)(
  "partial pull: after a power cut at each mutating call it comes to the same end, by the same bytes (%i ms)",
  async (latencyMs) => {
    const start = await upgradable();
    const all = new Deliveries();
    const undisturbed = await pullOn(start.crash({ keepUnsynced: true }), "v2", { latencyMs, deliveries: all });
    for (let failAt = 1; ; failAt++) {
      const crashed = await crashedAt(start, failAt, { latencyMs, deliveries: new Deliveries() });
      if (crashed === undefined) break;
      const linux = crashed.crash({ keepUnsynced: false, names: "kept" });
      const deliveries = new Deliveries();
      const pulled = await pullOn(linux, "v2", { latencyMs, deliveries });
      expect(pulled.rawImage).toBe(undisturbed.rawImage);
      expect(deliveries.total).toBeLessThanOrEqual(all.total);
      const after = linux.crash({ keepUnsynced: true });
      await collectGarbage(systemOn(after), { repo: repoOfSysroot, dryRun: false });
      expect(after.files.readDirectory(fromText(`${repoOfSysroot}/staging`))).toEqual([]);
    }
  },
  300_000,
);
