import { describe, expect, test } from "vitest";
import { blsOptions } from "../../../src/core/boot/bls-entry.ts";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { describeFiles } from "../../builders/machine-text.ts";
import { bootMount, entriesOf, espMount, install, machine, refusal, rootMount } from "../../builders/root-installs.ts";
import { putFile } from "../../builders/tool-runs.ts";

/** Half a file system: what a bind mount of one of its directories shows. */
const half = { directory: "/half" };
const subvolume = {
  ...rootMount,
  ...{ type: "btrfs", directory: "/@root", options: "rw,subvolid=256,subvol=/@root" },
};

describe("installToRoot, on what is not all of a file system", () => {
  const argumentsOf = (linux: ReturnType<typeof machine>) => {
    const [entry] = entriesOf(linux);
    return entry && blsOptions(entry.entry);
  };

  test("the kernel is told the subvolume of btrfs that is the root", async () => {
    const linux = machine({ mounts: [subvolume, bootMount] });
    await install(linux, { kernelArguments: ["quiet"] });
    expect(argumentsOf(linux)).toMatch(/^rw root=UUID=root-uuid rootflags=subvol=\/@root systemd\.mount-extra=/);
  });

  test("the top of btrfs is no subvolume that has to be told", async () => {
    const top = { ...subvolume, directory: "/", options: "rw,subvolid=5,subvol=/" };
    const linux = machine({ mounts: [top, bootMount] });
    await install(linux);
    expect(argumentsOf(linux)).not.toContain("rootflags");
  });

  test("who gives flags for the root says all of them", async () => {
    const linux = machine({ mounts: [subvolume, bootMount] });
    await install(linux, { kernelArguments: ["rootflags=subvol=/@root,compress=zstd"] });
    expect(argumentsOf(linux)?.match(/rootflags=\S*/g)).toEqual(["rootflags=subvol=/@root,compress=zstd"]);
  });

  test.each([
    ["root", [{ ...rootMount, ...half }, bootMount], "/target", "(ext4), only its directory /half"],
    ["root in a subvolume", [{ ...subvolume, directory: "/@root/half" }, bootMount], "/target", "/@root/half"],
    [
      "subvolume with a blank in its name",
      [{ ...subvolume, directory: "/@\\040root", options: "rw,subvol=/@\\040root" }, bootMount],
      "/target",
      "/@ root",
    ],
    ["boot partition", [rootMount, { ...bootMount, ...half }], "/target/boot", "(vfat), only its directory /half"],
    ["EFI system partition", [rootMount, bootMount, { ...espMount, ...half }], "/esp", "(vfat)"],
  ])("refuses a part as %s, where nothing would be found at boot", async (_, mounts, place, state) => {
    const linux = machine({ mounts });
    const message = await refusal(linux, mounts.length > 2 ? { esp: fromText("/esp") } : {});
    expect(message).toContain(`unsupported: Cannot install to "${place}": what is mounted there is not all of a file`);
    expect(message).toContain(state);
    expect(linux.files.readDirectory(fromText("/target"))).toEqual(["boot"]);
  });

  test("refuses a GRUB whose /boot is in a subvolume, and takes one with a partition of its own", async () => {
    const beside = { isExisting: true, bootloader: undefined } as const;
    const grub = "/target/boot/grub/grub.cfg";
    const within = machine({ mounts: [subvolume] });
    putFile(within.files, grub, "its own\n");
    expect(await refusal(within, beside)).toBe(
      'unsupported: Cannot install to "/target": GRUB finds no kernel at boot below it, which is in the subvolume /@root of btrfs',
    );
    expect(within.files.readDirectory(fromText("/target"))).toEqual(["boot"]);
    const apart = machine({ mounts: [subvolume, { ...bootMount, type: "ext4" }] });
    putFile(apart.files, grub, "its own\n");
    expect(await install(apart, beside)).toMatchObject({ bootloader: "grub" });
  });

  test("says what is missing where there is no such root", async () => {
    expect(await refusal(machine(), { root: fromText("/none") })).toBe(
      'not-found: Cannot install to "/none": no file system is mounted there',
    );
  });

  test.each([
    ["/boot", "/boot"],
    ["../boot", "/boot"],
    ["/target-boot", "/target-boot"],
  ])("refuses a boot that is a symlink to %s: that belongs to the machine that installs", async (target, at) => {
    const linux = machine({ mounts: [rootMount, { ...bootMount, at }] });
    putFile(linux.files, `${at}/loader/loader.conf`, "its own\n");
    linux.files.symlink(fromText(target), fromText("/target/boot"));
    const before = describeFiles(linux.files, fromText(at));
    for (const isExisting of [true, false]) {
      expect(await refusal(linux, { isExisting })).toBe(
        `unsupported: Cannot install to "/target": its boot is a symlink that leads to ${at}, which is not below it`,
      );
    }
    expect(describeFiles(linux.files, fromText(at))).toEqual(before);
  });

  test("takes a boot that is a symlink to a place below the root", async () => {
    const linux = machine({ mounts: [rootMount, { ...bootMount, at: "/target/efi" }] });
    linux.files.symlink(fromText("efi"), fromText("/target/boot"));
    putFile(linux.files, "/target/efi/loader/loader.conf", "its own\n");
    await install(linux, { bootloader: "none", isExisting: true });
    expect(entriesOf(linux)).toHaveLength(1);
  });

  test("nothing leads out of the root of the machine itself", async () => {
    const linux = machine({ mounts: [{ ...rootMount, at: "/" }] });
    linux.files.makeDirectory(fromText("/efi"), 0o755);
    linux.files.symlink(fromText("efi"), fromText("/boot"));
    const root = fromText("/");
    expect(await install(linux, { root, bootloader: "none", isExisting: true })).toMatchObject({ root: "/" });
    expect(linux.files.readDirectory(fromText("/efi"))).toContain("loader");
  });

  test("finds the root behind a symlink", async () => {
    const linux = machine();
    linux.files.symlink(fromText("/target"), fromText("/link"));
    expect(await install(linux, { root: fromText("/link") })).toMatchObject({ root: "/target" });
    expect(entriesOf(linux)).toHaveLength(1);
  });
});
