import { describe, expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { parseDiffId } from "../../../src/core/digest/oci-digest.ts";
import { findKnownFiles } from "../../../src/operations/known-image.ts";
import { openRepo } from "../../../src/repo/repo.ts";
import { machineWithRepo, pullTag, repoOfSysroot } from "../../builders/operation-machine.ts";
import { storeOs } from "../../builders/stored-os.ts";
import type { FakeLinux } from "../../fakes/fake-linux.ts";

function known(linux: FakeLinux, diffIds: readonly string[]) {
  const repo = openRepo(linux, repoOfSysroot, { access: "read", wait: false });
  try {
    const layers = diffIds.map((diffId) => ({ diffId: parseDiffId(diffId) }));
    return findKnownFiles(repo, layers);
  } finally {
    repo.close();
  }
}

describe("findKnownFiles", () => {
  test("gives none where the repo has no image", async () => {
    expect(known(await machineWithRepo({}), [`sha256:${"00".repeat(32)}`])).toBeUndefined();
  });

  test("gives those of the image that shares the most layers", async () => {
    const { linux, images } = await storeOs();
    const like = (layers: readonly { readonly diffId: string }[]) =>
      known(
        linux,
        layers.map(({ diffId }) => diffId),
      );
    const kernels = ["v1", "v2"].map((version) => fromText(`usr/lib/modules/6.1-${version}/vmlinuz`));
    const sizes = (table: ReturnType<typeof like>) => kernels.map((path) => table?.get(path)?.sizeBytes);
    expect(sizes(like(images.v1.layers))).toEqual([3000, undefined]);
    expect(sizes(like(images.v2.layers))).toEqual([undefined, 3000]);
    expect(like(images.data.layers)?.get(fromText("usr/data"))?.sizeBytes).toBe(200);
    // Both versions share the base layer: then it is the one whose tag comes last.
    expect(sizes(like(images.v1.layers.slice(0, 1)))).toEqual([undefined, 3000]);
  });

  test("anything wrong with an image only means no hint", async () => {
    const { linux, images } = await storeOs({ verity: false });
    const machine = linux.crash({ keepUnsynced: true });
    const { rawImage } = await pullTag(machine, "data", { bootable: false });
    machine.damage(fromText(`${repoOfSysroot}/objects/${rawImage.slice(0, 2)}/${rawImage.slice(2)}`), 1024);
    expect(
      known(
        machine,
        images.data.layers.map(() => `sha256:${"11".repeat(32)}`),
      ),
    ).toBeDefined();
    const diffIds = JSON.parse(Buffer.from(images.data.config).toString()).rootfs.diff_ids;
    expect(known(machine, diffIds)).toBeUndefined();
  });
});
