import { expect, test } from "vitest";
import { bootDigestOfEntry, unusedKernels } from "../../../../src/core/boot/kernel-files.ts";

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
