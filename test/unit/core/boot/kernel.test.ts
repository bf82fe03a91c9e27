import { expect, test } from "vitest";
import { findKernel } from "../../../../src/core/boot/kernel.ts";
import type { Inode } from "../../../../src/core/tree/inode.ts";
import { directory, file, symlink, tree } from "../../../builders/file-trees.ts";

const image = (modules: Readonly<Record<string, Inode>>) =>
  tree({ usr: directory({ lib: directory({ modules: directory(modules) }) }) });

test("findKernel: finds kernel and initramfs of the one version", () => {
  const found = findKernel(
    image({
      "6.12": directory({ vmlinuz: file("k"), "initramfs.img": file("i") }),
      extra: directory({ x: file("") }),
      note: file(""),
    }),
  );
  expect(found).toMatchObject({ version: "6.12", vmlinuz: file("k"), initramfs: file("i") });
});

test("findKernel: says what is missing when the image cannot boot", () => {
  expect(() => findKernel(tree({}))).toThrow(
    "Cannot boot this image: it has no kernel: there is no /usr/lib/modules/VERSION/vmlinuz",
  );
  expect(() => findKernel(image({ "6.12": directory({ vmlinuz: symlink("x") }) }))).toThrow(/it has no kernel/);
  expect(() => findKernel(image({ "6.12": directory({ vmlinuz: file("k") }) }))).toThrow(
    /no \/usr\/lib\/modules\/6\.12\/initramfs\.img/,
  );
});

test("findKernel: refuses two kernels and names both", () => {
  const one = directory({ vmlinuz: file("k"), "initramfs.img": file("i") });
  expect(() => findKernel(image({ "6.13": one, "6.12": one }))).toThrow(/2 kernels \(6\.12, 6\.13\)/);
});
