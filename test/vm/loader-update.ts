import { expect } from "vitest";
import type { Guest } from "./guest-machine.ts";

const marker = "LoaderInfo: systemd-boot";

/**
 * Makes both copies of the loader on the ESP of a guest older, lets this checkout's build of osdeploy, on the disk at /mnt, say
 * that the boot was good, and starts the machine by what is there then.
 */
export async function expectLoaderUpdated(guest: Guest, esp: string): Promise<void> {
  const copies = ["EFI/systemd/systemd-bootx64.efi", "EFI/BOOT/BOOTX64.EFI"].map((path) => `${esp}/${path}`);
  const versions = async () =>
    (await guest.output(`grep -aoh '${marker} [^ ]*' ${copies.join(" ")}`)).trim().split("\n");
  const [there = ""] = await versions();
  const older = there.replace(/systemd-boot 2/, "systemd-boot 1");
  await guest.output(`sed -i 's/${marker} 2/${marker} 1/g' ${copies.join(" ")} && sync`);
  expect(new Set(await versions())).toEqual(new Set([older]));
  const complete = await guest.run("node /mnt/osdeploy/dist/cli/main.js --json boot-complete");
  expect(complete, complete.stderr).toMatchObject({ status: 0 });
  const version = (text: string) => text.slice(text.lastIndexOf(" ") + 1);
  expect(JSON.parse(complete.stdout)).toMatchObject({ loader: { from: version(older), to: version(there) } });
  expect(new Set(await versions())).toEqual(new Set([there]));
  await guest.reboot();
  expect(await guest.booted()).toBe("running");
  expect(await guest.output(`ls ${esp}/EFI/BOOT ${esp}/EFI/systemd`)).not.toContain(".new");
}
