import { expect, test } from "vitest";
import { diffImages } from "../../../src/operations/diff-images.ts";
import { layoutReference, repoOfSysroot, systemOn } from "../../builders/operation-machine.ts";
import { storeOs } from "../../builders/stored-os.ts";

const { linux } = await storeOs();
const diff = (before: string, after: string) =>
  diffImages(systemOn(linux), {
    repo: repoOfSysroot,
    before: layoutReference(before),
    after: layoutReference(after),
    bootable: false,
  });

test("diffImages: tells what differs, and how many objects each needs for itself", async () => {
  const { differences, shared, onlyBefore, onlyAfter } = await diff("v1", "v2");
  const shown = differences.map(({ path, before, after, changes }) => {
    const sides = before === undefined ? "added" : after === undefined ? "removed" : changes.join(",");
    return `${path} ${sides}`;
  });
  expect(shown).toEqual([
    "/etc/motd content",
    "/usr/lib/libc.so content",
    "/usr/lib/modules/6.1-v1 removed",
    "/usr/lib/modules/6.1-v1/initramfs.img removed",
    "/usr/lib/modules/6.1-v1/vmlinuz removed",
    "/usr/lib/modules/6.1-v2 added",
    "/usr/lib/modules/6.1-v2/initramfs.img added",
    "/usr/lib/modules/6.1-v2/vmlinuz added",
    "/usr/lib/new added",
    "/usr/lib/os-release content",
  ]);
  // shell, sudo, passwd, state; libc, kernel, initramfs and motd are each version's own, and `new`.
  expect(shared).toEqual({ objects: 4, bytes: 800 });
  expect(onlyBefore).toEqual({ objects: 4, bytes: 9000 + 3000 + 5000 + 200 });
  expect(onlyAfter).toEqual({ objects: 5, bytes: 9000 + 3000 + 5000 + 200 + 200 });
});

test("diffImages: nothing differs from itself", async () => {
  expect(await diff("v2", "v2")).toMatchObject({
    differences: [],
    onlyBefore: { objects: 0, bytes: 0 },
    onlyAfter: { objects: 0, bytes: 0 },
  });
});

test("diffImages: refuses an image that is not there, and closes the repo", async () => {
  await expect(diff("v1", "v9")).rejects.toMatchObject({ code: "not-found" });
  expect(linux.openPaths).toEqual([]);
});
