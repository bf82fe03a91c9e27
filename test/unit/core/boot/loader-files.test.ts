import { expect, test } from "vitest";
import { loaderFiles } from "../../../../src/core/boot/loader-files.ts";

test("loaderFiles: the signed one of the image first, and on the partition the one that the firmware finds last", () => {
  expect(loaderFiles("systemd-boot", "x64")).toEqual({
    inImage: ["usr/lib/systemd/boot/efi/systemd-bootx64.efi.signed", "usr/lib/systemd/boot/efi/systemd-bootx64.efi"],
    onEsp: ["EFI/systemd/systemd-bootx64.efi", "EFI/BOOT/BOOTX64.EFI"],
    older: "EFI/osdeploy/older-systemd-bootx64.efi",
  });
  expect(loaderFiles("grub", "x64").inImage).toEqual([
    "usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed",
    "usr/lib/grub/x86_64-efi/monolithic/grubx64.efi",
  ]);
  expect(loaderFiles("grub", "aa64")).toEqual({
    inImage: ["usr/lib/grub/arm64-efi-signed/grubaa64.efi.signed", "usr/lib/grub/arm64-efi/monolithic/grubaa64.efi"],
    onEsp: ["EFI/BOOT/BOOTAA64.EFI"],
    older: "EFI/osdeploy/older-grubaa64.efi",
  });
});
