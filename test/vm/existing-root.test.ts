import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Guest } from "./guest-machine.ts";
import { findMachineRoom, guestWords, needs, overlayDisk, type TestLoader, vmPlace } from "./os-disk.ts";
import { releaseOf, statusOf } from "./os-guest.ts";
import { layoutDisk, makePackageDisk } from "./package-disk.ts";

const trixie = findMachineRoom();
const loaders: readonly TestLoader[] = ["systemd-boot", "grub"];

const writable = "mkdir -p /run/disk && mount -o bind,rw /sysroot /run/disk && mount -o remount,bind,rw /run/disk";
const environment = `require("fs").writeFileSync("/run/disk/boot/grub/grubenv", "# GRUB Environment Block\\nnext_entry=0\\n".padEnd(1024, "#"))`;

/** How the system from packages is asked to start once: with bootctl, and as grub-reboot does it. */
const startOld = {
  "systemd-boot": "bootctl set-oneshot debian.conf",
  grub: `${writable} && node -e '${environment}' && umount /run/disk`,
} as const;

/** A Debian from packages becomes a machine that runs from an image, and can be had back. */
describe.skipIf(trixie === undefined).each(loaders)(`install to-existing-root beside %s ${needs}`, (loader) => {
  let guest: Guest;

  beforeAll(async () => {
    if (trixie === undefined) return;
    const disk = await makePackageDisk(trixie, loader, join(vmPlace, `packages-${loader}.raw`));
    const place = join(vmPlace, `existing-${loader}`);
    rmSync(place, { recursive: true, force: true });
    mkdirSync(place, { recursive: true });
    const disks = [overlayDisk(trixie, disk, join(place, "disk.qcow2")), await layoutDisk(trixie, place)];
    guest = new Guest({ trixie, place, disks, processors: 1 });
    guest.switchOn();
  });
  afterAll(async () => guest?.cutPower());

  test("the system from packages boots, and gets an image beside it", async () => {
    await guest.booted();
    expect(await guest.output("findmnt -no FSTYPE /")).toBe("ext4\n");
    await guest.output("mount -o ro /dev/vdb /mnt && echo mine >/etc/mine");
    const source = "--source-imgref oci:/mnt:v2 --target-imgref registry.example/os:latest";
    const words = `${source} ${guestWords.join(" ")}`;
    const installed = await guest.run(`osdeploy --json install to-existing-root ${words}`, 1_500_000);
    expect(installed, installed.stderr).toMatchObject({ status: 0 });
    expect(JSON.parse(installed.stdout)).toMatchObject({ bootloader: loader, root: "/" });
  });

  test("it boots the image next, verified, and all of the old system is below /sysroot", async () => {
    await guest.reboot();
    expect(await guest.booted(), await guest.output("systemctl --failed --plain --no-legend")).toBe("running");
    expect(await guest.output("findmnt -no SOURCE,FSTYPE,OPTIONS /")).toMatch(
      /^composefs:[0-9a-f]{128} +overlay +ro,.*verity=require/,
    );
    expect(await releaseOf(guest)).toBe("v2");
    const status = await statusOf(guest);
    expect(status).toMatchObject({ bootloader: loader, problems: [], quarantine: [] });
    expect(status.deployments).toHaveLength(1);
    expect(await guest.output("cat /sysroot/etc/mine")).toBe("mine\n");
    expect((await guest.run("cat /etc/mine")).status).not.toBe(0);
  });

  test("the old system still boots when it is asked for once, and then the image again", async () => {
    await guest.output(startOld[loader]);
    await guest.reboot();
    await guest.booted();
    expect(await guest.output("findmnt -no FSTYPE / && cat /etc/mine")).toBe("ext4\nmine\n");
    await guest.reboot();
    await guest.booted();
    expect(await guest.output("findmnt -no FSTYPE /")).toBe("overlay\n");
  });
});
