import { describe, expect, test } from "vitest";
import { fromText } from "../../src/core/bytes/byte-string.ts";
import { OsdeployError } from "../../src/core/errors.ts";
import { parseImageReference } from "../../src/core/oci/reference.ts";
import { openImageSource } from "../../src/image-source/open-image-source.ts";
import { checkDigest } from "../../src/image-source/resolve-image.ts";
import { copyImage } from "../../src/operations/copy-image.ts";
import { buildImage } from "../builders/oci-image.ts";
import { layoutReference, linuxAmd64, machineWith, noLogin, systemOn } from "../builders/operation-machine.ts";
import { type CrashOptions, type FakeLinux, SimulatedCrash } from "../fakes/fake-linux.ts";

const shared = [{ path: "usr/" }, { path: "usr/a", content: "a".repeat(3000) }];
const images = {
  v1: await buildImage({ layers: [shared, [{ path: "b", content: "one" }]] }),
  v2: await buildImage({ layers: [shared, [{ path: "b", content: "two" }]] }),
};

const outcomes: readonly CrashOptions[] = [
  { keepUnsynced: true },
  { keepUnsynced: false, names: "lost" },
  { keepUnsynced: false, names: "kept" },
];

async function copy(linux: FakeLinux, tag: string): Promise<void> {
  await copyImage(systemOn(linux), {
    ...{ image: parseImageReference(layoutReference(tag)), destination: parseImageReference(`oci:/out:${tag}`) },
    ...{ platform: linuxAmd64, source: noLogin, destinationOptions: noLogin },
    ...{ format: undefined, level: undefined, removeSignatures: false },
  });
}

/** The manifest under a tag, all of whose blobs have their digests; undefined where there is none. */
async function found(linux: FakeLinux, tag: string): Promise<string | undefined> {
  const source = openImageSource(parseImageReference(`oci:/out:${tag}`), linux, noLogin);
  try {
    const { manifest, layers } = await source.resolve(linuxAmd64);
    for (const layer of layers) {
      const pieces: Uint8Array[] = [];
      for await (const piece of source.openBlob(layer)) pieces.push(piece);
      checkDigest(Buffer.concat(pieces), layer.digest);
    }
    return manifest.digest;
  } catch (error) {
    if (error instanceof OsdeployError && error.code === "not-found") return undefined;
    throw error;
  }
}

/** A machine with two images in a layout, and as many of them copied to another one; all of it durable. */
async function machine(copied: readonly string[]): Promise<FakeLinux> {
  const linux = machineWith(images);
  const fd = linux.files.open(fromText("/"), "directory");
  linux.files.syncFileSystem(fd);
  linux.files.close(fd);
  for (const tag of copied) await copy(linux, tag);
  return linux;
}

describe.each([
  ["a new layout", []],
  ["a layout that is there", ["v1"]],
])("image copy to %s", (_name, copied) => {
  test("what it has said is there is there after a power cut", async () => {
    const linux = await machine(copied);
    await copy(linux, "v2");
    for (const survives of outcomes) {
      expect(await found(linux.crash(survives), "v2")).toBe(images.v2.manifestDigest);
    }
  });

  test("stopped at each mutating call, names are of whole images, and run again it comes to the same end", async () => {
    const base = await machine(copied);
    const undisturbed = base.crash({ keepUnsynced: true });
    await copy(undisturbed, "v2");
    const blobs = undisturbed.files.readDirectory(fromText("/out/blobs/sha256"));
    const before = copied.length === 0 ? undefined : images.v1.manifestDigest;
    const seen = new Set<string | undefined>();
    for (let failAt = 1; failAt <= undisturbed.trace.length; failAt++) {
      const linux = base.crash({ keepUnsynced: true }, { failAt, halfWritten: true });
      await expect(copy(linux, "v2")).rejects.toThrow(SimulatedCrash);
      for (const survives of outcomes) {
        const after = linux.crash(survives);
        const when = `call ${failAt}, ${JSON.stringify(survives)}`;
        seen.add(await found(after, "v2"));
        expect({ when, v1: await found(after, "v1") }).toEqual({ when, v1: before });
        await copy(after, "v2");
        expect({ when, v2: await found(after, "v2") }).toEqual({ when, v2: images.v2.manifestDigest });
        expect(after.files.readDirectory(fromText("/out/blobs/sha256"))).toEqual(blobs);
        expect(after.files.readDirectory(fromText("/out"))).toEqual(["blobs", "index.json", "oci-layout"]);
        // Stopped after the new layout got its name, its scratch directory stays, empty, until one is made beside it again.
        const left = after.files.readDirectory(fromText("/")).filter((name) => name.startsWith(".osdeploy"));
        expect(left.flatMap((name) => after.files.readDirectory(fromText(`/${name}`)))).toEqual([]);
      }
    }
    expect(seen).toEqual(new Set([undefined, images.v2.manifestDigest]));
  });
});
