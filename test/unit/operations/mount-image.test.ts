import { describe, expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import type { LinuxMounts } from "../../../src/linux/linux.ts";
import { mountImage } from "../../../src/operations/mount-image.ts";
import { layoutReference, repoOfSysroot, systemOn } from "../../builders/operation-machine.ts";
import { storeOs } from "../../builders/stored-os.ts";

const target = fromText("/mnt");
const request = { repo: repoOfSysroot, image: layoutReference("v1"), bootable: true, target };

describe("mountImage", () => {
  test.each([true, false])("mounts the root image that boots; verity asked for: %s", async (verity) => {
    const { linux } = await storeOs({ verity });
    linux.files.makeDirectory(target, 0o755);
    const asked: Parameters<LinuxMounts["mountComposefs"]>[0][] = [];
    const mounts = { ...linux.mounts, mountComposefs: (options: (typeof asked)[0]) => void asked.push(options) };
    const result = await mountImage(systemOn({ ...linux, mounts }), request);
    expect(result).toEqual({ rootImage: expect.stringMatching(/^[0-9a-f]{128}$/), target: "/mnt", verity });
    expect(asked).toEqual([
      {
        image: `${repoOfSysroot}/objects/${result.rootImage.slice(0, 2)}/${result.rootImage.slice(2)}`,
        objects: `${repoOfSysroot}/objects`,
        target: "/mnt",
        name: `composefs:${result.rootImage}`,
        verity,
      },
    ]);
    expect(linux.openPaths).toEqual([]);
  });

  test("refuses an image whose root image was not made, and says what to do", async () => {
    const { linux } = await storeOs();
    linux.files.makeDirectory(target, 0o755);
    const data = { ...request, image: layoutReference("data") };
    await expect(mountImage(systemOn(linux), data)).rejects.toMatchObject({
      code: "not-found",
      message: 'Cannot mount image "oci:/layout:data": the repo has no root image of it',
      facts: { hint: "Pull it again with --bootable" },
    });
  });

  test("hands on what a machine without mounts says", async () => {
    const { linux } = await storeOs();
    linux.files.makeDirectory(target, 0o755);
    await expect(mountImage(systemOn(linux), request)).rejects.toMatchObject({ code: "unsupported" });
    expect(linux.openPaths).toEqual([]);
  });

  test("refuses what is not there, and what is not a directory", async () => {
    const { linux } = await storeOs();
    await expect(mountImage(systemOn(linux), request)).rejects.toMatchObject({ code: "not-found" });
    linux.files.writeNewFile(target, new Uint8Array(), 0o644);
    await expect(mountImage(systemOn(linux), request)).rejects.toMatchObject({
      code: "not-found",
      message: 'Cannot mount an image on "/mnt": it is not a directory',
    });
  });
});
