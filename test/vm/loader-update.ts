import { expect } from "vitest";
import type { Guest } from "./guest-machine.ts";
import type { TestLoader } from "./os-disk.ts";

/** Where a loader's copies and the one before are on the ESP, and the text before its version in them. */
const loaders = {
  "systemd-boot": {
    copies: ["EFI/systemd/systemd-bootx64.efi", "EFI/BOOT/BOOTX64.EFI"],
    older: "EFI/osdeploy/older-systemd-bootx64.efi",
    marker: "LoaderInfo: systemd-boot ",
  },
  grub: { copies: ["EFI/BOOT/BOOTX64.EFI"], older: "EFI/osdeploy/older-grubx64.efi", marker: "grub2," },
} as const;

/**
 * Makes all copies of the loader on the ESP of a guest older, lets this checkout's build of osdeploy, on the disk at /mnt, say
 * that the boot was good, and starts the machine by what is there then.
 */
export async function expectLoaderUpdated(guest: Guest, esp: string, loader: TestLoader): Promise<void> {
  const { marker, older: kept } = loaders[loader];
  const copies = loaders[loader].copies.map((path) => `${esp}/${path}`);
  const versions = async (...paths: readonly string[]) =>
    (await guest.output(`grep -aoh '${marker}[0-9][^ ,]*' ${paths.join(" ")}`)).trim().split("\n");
  const [there = ""] = await versions(...copies);
  const older = there.replace(`${marker}2`, `${marker}1`);
  await guest.output(`sed -i 's/${marker}2/${marker}1/g' ${copies.join(" ")} && sync`);
  expect(new Set(await versions(...copies))).toEqual(new Set([older]));
  const complete = await guest.run("node /mnt/osdeploy/dist/cli/main.js --json boot-complete");
  expect(complete, complete.stderr).toMatchObject({ status: 0 });
  const version = (text: string) => text.slice(marker.length);
  expect(JSON.parse(complete.stdout)).toMatchObject({
    loader: { from: version(older), to: version(there), older: kept },
  });
  expect(new Set(await versions(...copies))).toEqual(new Set([there]));
  expect(new Set(await versions(`${esp}/${kept}`))).toEqual(new Set([older]));
  await guest.reboot();
  expect(await guest.booted()).toBe("running");
  expect(await guest.output(`ls ${esp}/EFI/BOOT ${esp}/EFI/osdeploy`)).not.toContain(".new");
}
