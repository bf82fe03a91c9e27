import { describe, expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { parseManifestDigest } from "../../../src/core/digest/oci-digest.ts";
import { parseImageReference } from "../../../src/core/oci/reference.ts";
import type { ImageDestination } from "../../../src/image-source/image-destination.ts";
import { openImageDestination } from "../../../src/image-source/open-image-destination.ts";
import type { Linux } from "../../../src/linux/linux.ts";
import { buildImage } from "../../builders/oci-image.ts";
import { linuxAmd64, machineWith, noLogin } from "../../builders/operation-machine.ts";
import type { FakeLinux } from "../../fakes/fake-linux.ts";

const { manifest, manifestDigest, manifestType } = await buildImage({ layers: [[{ path: "usr/" }]] });
const index = fromText("/out/index.json");

const open = (linux: Linux, tag: string): Promise<ImageDestination> =>
  openImageDestination(parseImageReference(`oci:/out:${tag}`), linux, noLogin);

async function add(linux: Linux, tag: string): Promise<void> {
  const destination = await open(linux, tag);
  const document = { mediaType: manifestType, digest: parseManifestDigest(manifestDigest), bytes: manifest };
  try {
    await destination.commit({ manifest: document, platform: linuxAmd64 });
  } finally {
    await destination.close();
  }
}

function tagsOf(linux: FakeLinux): readonly string[] {
  const { manifests } = JSON.parse(Buffer.from(linux.files.readFile(index, 100_000)).toString());
  return manifests.map(({ annotations }: { annotations: object }) => Object.values(annotations)[0]);
}

describe("a layout that several write to", () => {
  test("the index is changed by one after the other: who holds the lock is waited for", async () => {
    const linux = machineWith({});
    await add(linux, "old");
    const other = linux.files.open(fromText("/out/oci-layout"), "read");
    linux.files.lock(other, "shared", { wait: true });
    await expect(add(linux, "new")).rejects.toThrow("Waiting for the lock on /out/oci-layout");
    expect(tagsOf(linux)).toEqual(["old"]);
    linux.files.close(other);
    await add(linux, "new");
    expect(tagsOf(linux)).toEqual(["old", "new"]);
    expect(linux.openPaths).toEqual([]);
  });

  test("what another one added while the lock was waited for stays", async () => {
    const linux = machineWith({});
    await add(linux, "old");
    const before = linux.files.readFile(index, 100_000);
    await add(linux, "other");
    const meanwhile = linux.files.readFile(index, 100_000);
    const put = (bytes: Uint8Array) => {
      linux.files.unlink(index);
      linux.files.writeNewFile(index, bytes, 0o644);
    };
    put(before);
    const lock: Linux["files"]["lock"] = (fd, kind, options) => {
      if (linux.openPaths.at(-1) === fromText("/out/oci-layout")) put(meanwhile);
      return linux.files.lock(fd, kind, options);
    };
    await add({ ...linux, files: { ...linux.files, lock } }, "new");
    expect(tagsOf(linux)).toEqual(["old", "other", "new"]);
  });
});

describe("a layout whose blobs are not what they should be", () => {
  const blob = fromText(`/out/blobs/sha256/${manifestDigest.slice(7)}`);
  const written = (linux: FakeLinux) => Buffer.from(linux.files.readFile(blob, 100_000));

  test.each<[string, (linux: FakeLinux) => void]>([
    ["gone", () => {}],
    ["cut off", ({ files }) => files.writeNewFile(blob, manifest.subarray(1), 0o644)],
    ["a link to elsewhere", ({ files }) => files.symlink(fromText("x".repeat(manifest.length)), blob)],
  ])("one that is %s is written anew, and stays though the index is as it was", async (_, spoil) => {
    const linux = machineWith({});
    await add(linux, "old");
    linux.files.unlink(blob);
    spoil(linux);
    await add(linux, "old");
    expect(linux.files.lstat(blob).kind).toBe("regular");
    expect(written(linux)).toEqual(Buffer.from(manifest));
    expect(tagsOf(linux)).toEqual(["old"]);
  });
});
