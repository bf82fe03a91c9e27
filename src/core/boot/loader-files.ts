/** Where the files of a loader are, for one architecture. */
export interface LoaderFiles {
  /** In an image, the best one first. */
  readonly inImage: readonly [string, ...string[]];
  /** On the EFI system partition; the firmware looks for the last one where it knows of no other. */
  readonly onEsp: readonly [string, ...string[]];
  /** And there, the one that was replaced last. */
  readonly older: string;
}

/** @param efiName the architecture as in names of UEFI: `x64`, `aa64`. */
export function loaderFiles(loader: "systemd-boot" | "grub", efiName: "x64" | "aa64"): LoaderFiles {
  const fallback = `EFI/BOOT/BOOT${efiName.toUpperCase()}.EFI`;
  if (loader === "systemd-boot") {
    const name = `systemd-boot${efiName}.efi`;
    const binary = `usr/lib/systemd/boot/efi/${name}`;
    return {
      inImage: [`${binary}.signed`, binary],
      onEsp: [`EFI/systemd/${name}`, fallback],
      older: `EFI/osdeploy/older-${name}`,
    };
  }
  const format = efiName === "x64" ? "x86_64-efi" : "arm64-efi";
  const name = `grub${efiName}.efi`;
  return {
    inImage: [`usr/lib/grub/${format}-signed/${name}.signed`, `usr/lib/grub/${format}/monolithic/${name}`],
    onEsp: [fallback],
    older: `EFI/osdeploy/older-${name}`,
  };
}
