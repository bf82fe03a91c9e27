import { describe, expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { catImageFile } from "../../../src/operations/cat-image-file.ts";
import { buildImage } from "../../builders/oci-image.ts";
import {
  layoutReference,
  machineWithRepo,
  objectsInRepo,
  pullTag,
  repoOfSysroot,
  systemOn,
} from "../../builders/operation-machine.ts";
import { content } from "../../builders/os-images.ts";

const large = content("0123456789abcde", 3_000_001);
const image = await buildImage({
  layers: [
    [
      { path: "usr" },
      { path: "usr/large", content: large },
      { path: "usr/small", content: "small\n" },
      { path: "usr/empty", content: "" },
      { path: "link", symlink: "usr/../../usr/small" },
      { path: "circle", symlink: "circle" },
      { path: "süß" },
    ],
  ],
});
const linux = await machineWithRepo({ image });
await pullTag(linux, "image", { bootable: false });

async function cat(path: string): Promise<{ text: string; sizeBytes: number; pieces: number }> {
  const pieces: Buffer[] = [];
  const { sizeBytes } = await catImageFile(systemOn(linux), {
    repo: repoOfSysroot,
    image: layoutReference("image"),
    bootable: false,
    path: fromText(path),
    write: async (bytes) => void pieces.push(Buffer.from(bytes)),
  });
  return { text: Buffer.concat(pieces).toString("latin1"), sizeBytes, pieces: pieces.length };
}

describe("catImageFile", () => {
  test("writes small, empty and large files whole", async () => {
    expect(await cat("/usr/small")).toMatchObject({ text: "small\n", sizeBytes: 6 });
    expect(await cat("usr/empty")).toMatchObject({ text: "", sizeBytes: 0 });
    const found = await cat("/usr/large");
    expect([found.text === large, found.sizeBytes, found.pieces > 1]).toEqual([true, 3_000_001, true]);
  });

  test("follows symlinks, and never out of the image", async () => {
    expect(await cat("/link")).toMatchObject({ text: "small\n" });
  });

  test.each([
    ["/usr", 'Cannot read "/usr": it is a directory'],
    ["/süß", 'Cannot read "/süß": it is a directory'],
    ["/none", 'Cannot find "/none" in image "oci:/layout:image": there is no such file'],
  ])("refuses %s", async (path, message) => {
    await expect(cat(path)).rejects.toMatchObject({ code: "not-found", message });
  });

  test("refuses a circle of symlinks", async () => {
    await expect(cat("/circle")).rejects.toThrow(/circle/);
    expect(linux.openPaths).toEqual([]);
  });

  test("refuses an object that was damaged instead of writing other bytes as good", async () => {
    const insecure = await machineWithRepo({ image }, { verity: false });
    await pullTag(insecure, "image", { bootable: false });
    const paths = objectsInRepo(insecure).map((id) =>
      fromText(`${repoOfSysroot}/objects/${id.slice(0, 2)}/${id.slice(2)}`),
    );
    for (const path of paths.filter((each) => insecure.files.lstat(each).sizeBytes === large.length)) {
      insecure.damage(path, 2_900_000);
    }
    const request = {
      repo: repoOfSysroot,
      image: layoutReference("image"),
      bootable: false,
      path: fromText("/usr/large"),
      write: async () => {},
    };
    await expect(catImageFile(systemOn(insecure), request)).rejects.toMatchObject({ code: "damaged" });
    expect(insecure.openPaths).toEqual([]);
  });
});
