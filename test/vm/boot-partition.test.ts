import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Guest } from "./guest-machine.ts";
import { expectLoaderUpdated } from "./loader-update.ts";
import {
  findMachineRoom,
  guestWords,
  needs,
  osdeploy,
  osLayout,
  overlayDisk,
  type TestLoader,
  vmPlace,
} from "./os-disk.ts";
import { releaseOf, statusOf } from "./os-guest.ts";
import { layoutDisk } from "./package-disk.ts";

const trixie = findMachineRoom();
const loaders: readonly TestLoader[] = ["systemd-boot", "grub"];

/** The loader alone on the EFI system partition; entries and kernels on an extended boot partition (XBOOTLDR). */
describe.skipIf(trixie === undefined).each(loaders)(`a boot partition beside the ESP, %s ${needs}`, (loader) => {
  let guest: Guest;

  beforeAll(async () => {
    if (trixie === undefined) return;
    const place = join(vmPlace, `boot-partition-${loader}`);
    rmSync(place, { recursive: true, force: true });
    mkdirSync(place, { recursive: true });
    const base = `${place}.raw`;
    rmSync(base, { force: true });
    const words = ["--source-imgref", `oci:${osLayout}:v1`, ...guestWords];
    const sizes = ["--size", "4G", "--esp-size", "64M", "--boot-size", "256M"];
    const { status, stderr } = osdeploy("install", "to-disk", ...words, ...sizes, "--bootloader", loader, base);
    if (status !== 0) throw new Error(`osdeploy install to-disk ended with status ${status}: ${stderr}`);
    const disks = [overlayDisk(trixie, base, join(place, "disk.qcow2")), await layoutDisk(trixie, place)];
    guest = new Guest({ trixie, place, disks, processors: 1 });
    guest.switchOn();
  });
  afterAll(async () => guest?.cutPower());

  test("the loader finds the entry there, and both partitions are mounted", async () => {
    expect(await guest.booted(), await guest.output("systemctl --failed --plain --no-legend")).toBe("running");
    expect(await guest.output("findmnt -no SOURCE,FSTYPE /boot")).toMatch(/^\/dev\/vda2 +vfat\n$/);
    expect(await guest.output("findmnt -no SOURCE,FSTYPE /boot/efi")).toMatch(/^\/dev\/vda1 +vfat\n$/);
    const { deployments, ...status } = await statusOf(guest);
    expect(status).toMatchObject({ bootloader: loader, countsTries: true, problems: [] });
    expect(deployments).toHaveLength(1);
  });

  test("an upgrade's entry gets there too, is counted, and is good after its boot", async () => {
    await guest.output("mount -o ro /dev/vdb /mnt");
    const switched = await guest.run("osdeploy --json switch oci:/mnt:v2", 1_500_000);
    expect(switched, switched.stderr).toMatchObject({ status: 0 });
    await guest.reboot();
    expect(await guest.booted()).toBe("running");
    expect(await releaseOf(guest)).toBe("v2");
    const entries = await guest.output("ls /boot/loader/entries");
    expect(entries.split("\n")).toEqual(["osdeploy-000001.conf", "osdeploy-000002.conf", ""]);
    // The loader took a try for this boot, and says so.
    const counted = {
      "systemd-boot": "ls /sys/firmware/efi/efivars | grep -c LoaderBootCountPath",
      grub: "grep -c osdeploy.tries=2 /proc/cmdline",
    } as const;
    expect(await guest.output(counted[loader])).toBe("1\n");
    expect(await statusOf(guest)).toMatchObject({ problems: [], quarantine: [] });
  });

  test("a loader that is older than the image's is replaced, and starts", async () => {
    await guest.output("mount -o ro /dev/vdb /mnt");
    await expectLoaderUpdated(guest, "/boot/efi", loader);
  });
});
