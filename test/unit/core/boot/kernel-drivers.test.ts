import { describe, expect, test } from "vitest";
import { type KernelFiles, missingDrivers } from "../../../../src/core/boot/kernel-drivers.ts";

const debian: KernelFiles = {
  version: "6.12.107+deb13-cloud-amd64",
  modules: [
    "kernel/fs/overlayfs/overlay.ko.xz:",
    "kernel/fs/erofs/erofs.ko.xz: kernel/lib/libcrc32c.ko.xz",
    "kernel/drivers/block/loop.ko.xz:",
    "kernel/fs/fat/vfat.ko: kernel/fs/fat/fat.ko",
    "",
  ].join("\n"),
  builtin: "kernel/fs/ext4/ext4.ko\n",
  config: "",
};

describe("missingDrivers", () => {
  test("modules and what is built in count alike, compressed or not", () => {
    expect(missingDrivers(debian, { fileSystems: ["ext4", "vfat"], verity: true })).toEqual([]);
  });

  test("names what is in neither list, each once", () => {
    expect(missingDrivers(debian, { fileSystems: ["btrfs", "btrfs"], verity: true })).toEqual(["btrfs"]);
    const modules = "kernel/fs/fuse/fuse.ko:\n";
    expect(missingDrivers({ ...debian, modules }, { fileSystems: ["ext4"], verity: true })).toEqual([
      "erofs",
      "overlay",
    ]);
  });

  test("what a module of another name serves is there, and so is its own", () => {
    const demand = { fileSystems: ["ext2", "ext3"], verity: false };
    expect(missingDrivers(debian, demand)).toEqual([]);
    expect(missingDrivers({ ...debian, builtin: "kernel/fs/ext2/ext2.ko\n" }, demand)).toEqual(["ext3"]);
  });

  test("a place that says nothing of its file system asks for none", () => {
    expect(missingDrivers(debian, { fileSystems: ["autofs"], verity: false })).toEqual([]);
  });

  test("a name in the dependencies of another module is no module", () => {
    const modules = "kernel/a.ko: kernel/fs/erofs/erofs.ko kernel/fs/overlayfs/overlay.ko\n";
    expect(missingDrivers({ ...debian, modules }, { fileSystems: [], verity: false })).toEqual(["erofs", "overlay"]);
  });

  test("a kernel before 6.12 needs a loop device for the root image", () => {
    const modules = debian.modules.replace("loop", "other");
    const demand = { fileSystems: ["ext4"], verity: true };
    expect(missingDrivers({ ...debian, modules, version: "6.11.9" }, demand)).toEqual(["loop"]);
    expect(missingDrivers({ ...debian, modules, version: "custom" }, demand)).toEqual([]);
  });

  test("an image without one of the lists tells nothing, and nothing is missed", () => {
    const demand = { fileSystems: ["ext4", "xfs"], verity: true };
    expect(missingDrivers({ ...debian, builtin: "" }, demand)).toEqual([]);
    expect(missingDrivers({ ...debian, modules: "" }, demand)).toEqual([]);
    const silent = { version: "6.12.1", modules: "", builtin: "", config: "" };
    expect(missingDrivers(silent, { fileSystems: ["ext4"], verity: true })).toEqual([]);
  });

  test("a kernel that was made without fs-verity is told by its configuration, where somebody asks", () => {
    const config = "CONFIG_EXT4_FS=y\n# CONFIG_FS_VERITY is not set\n";
    const demand = { fileSystems: ["ext4"], verity: true };
    expect(missingDrivers({ ...debian, config }, demand)).toEqual(["fs-verity"]);
    expect(missingDrivers({ ...debian, config }, { ...demand, verity: false })).toEqual([]);
    expect(missingDrivers({ ...debian, config: "CONFIG_FS_VERITY=y\n" }, demand)).toEqual([]);
  });
});
