import { expect, test } from "vitest";
import { fromText } from "../../src/core/bytes/byte-string.ts";
import { parseImageReference } from "../../src/core/oci/reference.ts";
import type { ImageSource } from "../../src/image-source/image-source.ts";
import { openImageSource } from "../../src/image-source/open-image-source.ts";
import { checkRepo } from "../../src/operations/check-repo.ts";
import { collectGarbage } from "../../src/operations/collect-garbage.ts";
import { type PulledImage, pullImage } from "../../src/operations/pull-image.ts";
import { openRepo } from "../../src/repo/repo.ts";
import {
  layoutReference,
  linuxAmd64,
  machineWithRepo,
  repoOfSysroot,
  systemOn,
} from "../builders/operation-machine.ts";
import { buildOsImage } from "../builders/os-images.ts";
import { type FakeLinux, SimulatedCrash } from "../fakes/fake-linux.ts";

/** A crash wastes one piece that came and was not written. */
const pieceBytes = 64;

/** The layout as if it were far away: blobs come in small pieces, which are counted. */
function distant(layout: ImageSource, fetched: Map<string, number>): ImageSource {
  return {
    describe: () => layout.describe(),
    reference: () => layout.reference(),
    registry: () => undefined,
    bundle: () => undefined,
    resolve: (platform) => layout.resolve(platform),
    resolveIndex: async () => undefined,
    locateBlob: () => undefined,
    readBlobRange: (blob, range) => layout.readBlobRange(blob, range),
    close: () => layout.close(),
    async *openBlob(blob, options) {
      for await (const bytes of layout.openBlob(blob, options)) {
        for (let at = 0; at < bytes.length; at += pieceBytes) {
          const piece = bytes.subarray(at, at + pieceBytes);
          fetched.set(blob.digest, (fetched.get(blob.digest) ?? 0) + piece.length);
          yield piece;
        }
      }
    },
  };
}

async function pullOn(linux: FakeLinux, fetched: Map<string, number>): Promise<PulledImage> {
  const reference = parseImageReference(layoutReference("v1"));
  const source = distant(openImageSource(reference, linux, { environment: { variables: {}, userId: 0 } }), fetched);
  const repo = openRepo(linux, repoOfSysroot, { access: "write", wait: false });
  const image = await source.resolve(linuxAmd64);
  return pullImage(systemOn(linux), repo, {
    ...{ reference, image, layers: { kind: "source", source }, tag: "os", bootable: true },
  });
}

/** Pulls, until the crash at the `failAt`th mutating call. */
async function crashedAt(
  start: FakeLinux,
  failAt: number,
  fetched: Map<string, number>,
): Promise<FakeLinux | undefined> {
  const linux = start.crash({ keepUnsynced: true }, { failAt, halfWritten: true });
  try {
    await pullOn(linux, fetched);
    return undefined;
  } catch (error) {
    if (!(error instanceof SimulatedCrash)) throw error;
    return linux;
  }
}

test("pull: killed at each mutating call and run again, it fetches no byte twice but of one piece a layer", async () => {
  const image = await buildOsImage("v1");
  const start = await machineWithRepo({ v1: image });
  const undisturbed = await pullOn(start.crash({ keepUnsynced: true }), new Map());
  const sizes = new Map(image.layers.map(({ digest, blob }) => [digest as string, blob.length]));
  let resumed = 0;
  for (let failAt = 1; ; failAt++) {
    const fetched = new Map<string, number>();
    const crashed = await crashedAt(start, failAt, fetched);
    if (crashed === undefined) break;
    const before = new Map(fetched);
    const linux = crashed.crash({ keepUnsynced: true });
    const pulled = await pullOn(linux, fetched);
    expect([pulled.rawImage, pulled.bootImage]).toEqual([undisturbed.rawImage, undisturbed.bootImage]);
    for (const [digest, bytes] of fetched) {
      expect(bytes, `layer ${digest}, killed at call ${failAt}`).toBeLessThanOrEqual(
        (sizes.get(digest) ?? 0) + pieceBytes,
      );
      if ((before.get(digest) ?? 0) > 0 && bytes > (before.get(digest) ?? 0)) resumed++;
    }
    const { problems } = await checkRepo(systemOn(linux), { repo: repoOfSysroot, metadataOnly: true });
    expect(problems.filter(({ kind }) => kind !== "leftover")).toEqual([]);
  }
  // The sweep is worth something only if it went through the middle of layers.
  expect(resumed).toBeGreaterThan(10);
}, 300_000);

test("pull: after a power cut at each mutating call it comes to the same end; gc then removes all that was left", async () => {
  const start = await machineWithRepo({ v1: await buildOsImage("v1") });
  const undisturbed = await pullOn(start.crash({ keepUnsynced: true }), new Map());
  for (let failAt = 1; ; failAt++) {
    const crashed = await crashedAt(start, failAt, new Map());
    if (crashed === undefined) break;
    const linux = crashed.crash({ keepUnsynced: false, names: "kept" });
    const pulled = await pullOn(linux, new Map());
    expect(pulled.rawImage).toBe(undisturbed.rawImage);
    const after = linux.crash({ keepUnsynced: true });
    await collectGarbage(systemOn(after), { repo: repoOfSysroot, dryRun: false });
    expect(after.files.readDirectory(fromText(`${repoOfSysroot}/staging`))).toEqual([]);
  }
}, 300_000);
