import { describe, expect, test } from "vitest";
import { makeBootEntry } from "../../../../src/core/boot/boot-menu.ts";
import { type BootSpaceRequest, planBootSpace } from "../../../../src/core/boot/plan-boot-space.ts";
import { parseObjectId } from "../../../../src/core/digest/object-id.ts";

const digest = (digit: string) => digit.repeat(64);

const entryOf = (sequence: number, kernel: string) =>
  makeBootEntry({
    sequence,
    rootImage: parseObjectId("ab".repeat(32), "sha256"),
    osRelease: { id: "test", prettyName: "Test OS", version: "9" },
    kernelPath: `/osdeploy/${digest(kernel)}/vmlinuz`,
    initramfsPath: `/osdeploy/${digest(kernel)}/initramfs.img`,
    options: `composefs=${"ab".repeat(32)}`,
  });

const stored = (kernel: string, sizes: readonly [number, number] = [1000, 9000]) => ({
  bootDigest: digest(kernel),
  files: [
    { name: "vmlinuz", sizeBytes: sizes[0] },
    { name: "initramfs.img", sizeBytes: sizes[1] },
  ],
});

/** Entries 1 to 4 on kernels a, b, a and c, and a kernel that nobody names; the new one takes 11000 bytes and 800 for small files. */
function request(changes: Partial<BootSpaceRequest>): BootSpaceRequest {
  return {
    menu: {
      entries: [entryOf(4, "c"), entryOf(3, "a"), entryOf(2, "b"), entryOf(1, "a")],
      stale: [],
      foreign: ["windows.conf"],
    },
    kernels: ["a", "b", "c", "d"].map((kernel) => stored(kernel)),
    newKernel: { bootDigest: digest("e"), vmlinuzBytes: 1001, initramfsBytes: 9850 },
    protectedEntries: new Set([4]),
    heldByOthers: new Set(),
    availableBytes: 1_000_000,
    clusterBytes: 100,
    ...changes,
  };
}

const removalsOf = (changes: Partial<BootSpaceRequest>) => {
  const { removeEntries, removeKernels } = planBootSpace(request(changes));
  return [removeEntries.map(({ sequence }) => sequence), removeKernels.map((kernel) => kernel[0]).join("")];
};

describe("planBootSpace", () => {
  test("removes nothing where there is room, and rounds up to clusters", () => {
    expect(planBootSpace(request({}))).toEqual({
      neededBytes: 1100 + 9900 + 800,
      availableBytes: 1_000_000,
      removeEntries: [],
      removeKernels: [],
      freedBytes: 0,
    });
    expect(removalsOf({ availableBytes: 11_800 })).toEqual([[], ""]);
  });

  test("another kernel of the same sizes, or files of another's size, are not the new one", () => {
    const newKernel = { bootDigest: digest("e"), vmlinuzBytes: 1000, initramfsBytes: 9000 };
    const neededWith = (kernels: BootSpaceRequest["kernels"]) =>
      planBootSpace(request({ kernels, newKernel })).neededBytes;
    expect(neededWith([stored("a")])).toBe(10_800);
    expect(neededWith([stored("e", [9000, 1000])])).toBe(10_800);
    expect(neededWith([stored("a"), stored("e")])).toBe(800);
  });

  test("removes the kernel that no entry names first, then the oldest deployments, no more than needed", () => {
    expect(removalsOf({ availableBytes: 11_799 })).toEqual([[], "d"]);
    expect(removalsOf({ availableBytes: 1_800 })).toEqual([[], "d"]);
    expect(removalsOf({ availableBytes: 1_799 })).toEqual([[2], "db"]);
    const without = ["a", "b", "c"].map((kernel) => stored(kernel));
    expect(removalsOf({ availableBytes: 1_799, kernels: without })).toEqual([[1, 2, 3], "ba"]);
  });

  test("a kernel that a protected entry names stays, with all its entries", () => {
    expect(
      removalsOf({ availableBytes: 11_000, protectedEntries: new Set([4, 1]), kernels: [stored("a"), stored("b")] }),
    ).toEqual([[2], "b"]);
  });

  test("a kernel that others' entries name stays, and so do our entries of it", () => {
    expect(removalsOf({ availableBytes: 1_800, heldByOthers: new Set([digest("d")]) })).toEqual([[2], "b"]);
    expect(removalsOf({ availableBytes: 1_800, heldByOthers: new Set(["d", "b"].map(digest)) })).toEqual([[1, 3], "a"]);
  });

  test("of two kernels that nobody names either may go", () => {
    expect(removalsOf({ availableBytes: 11_000, kernels: [stored("f"), stored("d")] })[0]).toEqual([]);
  });

  test("a kernel that is there needs room for the entry only", () => {
    const newKernel = { bootDigest: digest("c"), vmlinuzBytes: 1000, initramfsBytes: 9000 };
    expect(planBootSpace(request({ newKernel, availableBytes: 800 })).neededBytes).toBe(800);
  });

  test("a kernel that is there in half, or with another size, is needed whole, and is not removed for itself", () => {
    const newKernel = { bootDigest: digest("d"), vmlinuzBytes: 1000, initramfsBytes: 9000 };
    const half = { bootDigest: digest("d"), files: [{ name: "vmlinuz", sizeBytes: 1000 }] };
    for (const kernels of [[half], [stored("d", [1000, 8999])]]) {
      expect(planBootSpace(request({ newKernel, kernels })).neededBytes).toBe(10_800);
      expect(() => planBootSpace(request({ newKernel, kernels, availableBytes: 10_799 }))).toThrow(
        "0 bytes more at most",
      );
    }
  });

  test("takes clusters of 32 KiB when nothing is known of them", () => {
    const { clusterBytes: _, ...unknown } = request({});
    expect(planBootSpace(unknown).neededBytes).toBe(10 * 32_768);
  });

  test("refuses with the numbers before anything is copied", () => {
    const tooSmall = request({ availableBytes: 500, protectedEntries: new Set([4, 3, 2]) });
    expect(() => planBootSpace(tooSmall)).toThrow(
      expect.objectContaining({
        code: "no-space",
        message:
          "Cannot store the kernel: 11800 bytes (11.8 kB) are needed on the boot partition, 500 bytes are free, and 10000 bytes (10.0 kB) more at most once old deployments are removed",
        facts: { neededBytes: 11_800, availableBytes: 500, freeableBytes: 10_000 },
      }),
    );
  });
});
