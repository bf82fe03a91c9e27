import { expect, test } from "vitest";
import { bootDigestOfEntry, isKernelThere, unusedKernels } from "../../../../src/core/boot/kernel-files.ts";

const digest = (digit: string) => digit.repeat(64);
const entry = (linux: string) => ({ entry: { fields: [{ key: "linux", value: linux }] } });

test.each([
  [`/osdeploy/${digest("a")}/vmlinuz`, digest("a")],
  [`/boot/osdeploy/${digest("b")}/vmlinuz`, digest("b")],
  ["/bootc_composefs-aa/vmlinuz", undefined],
  [`/x/osdeploy/${digest("b")}/vmlinuz`, undefined],
  [`/osdeploy/${digest("b")}/../vmlinuz`, undefined],
])("bootDigestOfEntry: of a kernel at %s", (linux, expected) => {
  expect(bootDigestOfEntry(entry(linux))).toBe(expected);
});

test("bootDigestOfEntry: of an entry without a kernel", () => {
  expect(bootDigestOfEntry({ entry: { fields: [] } })).toBeUndefined();
});

test("unusedKernels: gives those that no entry names, nor anything of others'", () => {
  const kernels = ["a", "b", "c"].map((digit) => ({ bootDigest: digest(digit) }));
  const entries = [entry(`/osdeploy/${digest("b")}/vmlinuz`), entry("/vmlinuz")];
  expect(unusedKernels(kernels, entries, new Set())).toEqual([digest("a"), digest("c")]);
  expect(unusedKernels(kernels, entries, new Set([digest("c")]))).toEqual([digest("a")]);
});

test("isKernelThere: with both files, and something in them", () => {
  const stored = (digit: string, sizes: Readonly<Record<string, number>>) => ({
    bootDigest: digest(digit),
    files: Object.entries(sizes).map(([name, sizeBytes]) => ({ name, sizeBytes })),
  });
  const kernels = [
    stored("a", { vmlinuz: 1, "initramfs.img": 2, "initramfs.img.new": 0 }),
    stored("b", { vmlinuz: 1 }),
    stored("c", { vmlinuz: 0, "initramfs.img": 2 }),
  ];
  expect(["a", "b", "c", "d"].map((digit) => isKernelThere(kernels, digest(digit)))).toEqual([
    true,
    false,
    false,
    false,
  ]);
});
