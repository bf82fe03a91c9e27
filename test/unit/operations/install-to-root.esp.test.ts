import { describe, expect, test } from "vitest";
import { blsOptions } from "../../../src/core/boot/bls-entry.ts";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { parseImageReference } from "../../../src/core/oci/reference.ts";
import { layoutReference } from "../../builders/operation-machine.ts";
import { content } from "../../builders/os-images.ts";
import {
  bootMount,
  entriesOf,
  espMount,
  install,
  type MachineOptions,
  machine,
  refusal,
  rootMount,
  text,
} from "../../builders/root-installs.ts";

const esp = fromText("/esp");
const threeMounts = { mounts: [rootMount, bootMount, espMount] };

describe("installToRoot, with an EFI system partition beside /boot", () => {
  const optionsOf = (linux: ReturnType<typeof machine>) => {
    const [entry] = entriesOf(linux);
    return entry && blsOptions(entry.entry);
  };

  test("the loader is on the one, kernel and entry are on the other, and both get mounted", async () => {
    const linux = machine(threeMounts);
    await install(linux, { esp });
    expect(text(linux, "/esp/EFI/BOOT/BOOTX64.EFI")).toBe(content("systemd-boot", 9000));
    expect(text(linux, "/esp/loader/loader.conf")).toContain("default osdeploy-*");
    expect(linux.files.readDirectory(fromText("/target/boot"))).toEqual(["efi", "loader", "osdeploy"]);
    const flags = "vfat:umask=0077,nosuid,nodev,noexec,nofail";
    expect(optionsOf(linux)).toContain(
      ` systemd.mount-extra=UUID=B007-0001:/boot:${flags} systemd.mount-extra=UUID=E59-0001:/boot/efi:${flags} `,
    );
    expect(linux.openPaths).toEqual([]);
  });

  test("it is durable when the entry is", async () => {
    const linux = machine(threeMounts);
    await install(linux, { esp, bootloader: "grub" });
    const after = linux.crash({ keepUnsynced: false, names: "lost" });
    expect(text(after, "/esp/EFI/BOOT/BOOTX64.EFI")).toBe(content("grub", 9000));
    expect(text(after, "/esp/EFI/test/grub.cfg")).toContain("--fs-uuid B007-0001");
    expect(entriesOf(after)).toHaveLength(1);
  });

  test("it is mounted at /efi where the image has that", async () => {
    const linux = machine(threeMounts);
    await install(linux, { esp, image: parseImageReference(layoutReference("efi")) });
    expect(optionsOf(linux)).toContain("systemd.mount-extra=UUID=E59-0001:/efi:vfat:");
    expect(linux.files.readDirectory(fromText("/target/boot"))).toEqual(["loader", "osdeploy"]);
  });

  test("the same partition as that at /boot is none beside it", async () => {
    const linux = machine({ mounts: [rootMount, bootMount, { ...espMount, source: bootMount.source }] });
    await install(linux, { esp });
    expect(text(linux, "/target/boot/EFI/BOOT/BOOTX64.EFI")).toBe(content("systemd-boot", 9000));
    expect(optionsOf(linux)?.match(/systemd.mount-extra/g)).toHaveLength(1);
  });

  test.each<[string, MachineOptions, string]>([
    ["no mount", {}, "no file system is mounted there"],
    [
      "a file system that no firmware reads",
      { mounts: [rootMount, bootMount, { ...espMount, type: "ext4" }] },
      "it is ext4, and no firmware reads that",
    ],
  ])("refuses %s", async (_, options, message) => {
    const linux = machine(options);
    expect(await refusal(linux, { esp })).toBe(`unsupported: Cannot use "/esp" as EFI system partition: ${message}`);
    expect(linux.files.readDirectory(fromText("/target"))).toEqual(["boot"]);
  });

  test("refuses a boot partition on which systemd-boot would not look; GRUB finds any", async () => {
    const type = "0fc63daf-8483-4772-8e79-3d69d8477de4";
    const wrong = () => machine({ ...threeMounts, bootType: `${type.toUpperCase()}\n` });
    expect(await refusal(wrong(), { esp })).toBe(
      `unsupported: Cannot use /dev/sda1 as boot partition: systemd-boot reads no entries from a partition of the type ${type}`,
    );
    expect(await refusal(wrong(), { esp, bootloader: "grub" })).toBe("nothing was refused");
    expect(await refusal(machine({ ...threeMounts, bootType: "" }), { esp })).toBe("nothing was refused");
    // One partition for both is an EFI system partition.
    expect(await refusal(machine({ bootType: "c12a7328-f81f-11d2-ba4b-00a0c93ec93b\n" }))).toBe("nothing was refused");
  });
});
