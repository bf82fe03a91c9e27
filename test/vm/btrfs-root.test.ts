import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { findTool } from "../tools/find-tool.ts";
import { Guest } from "./guest-machine.ts";
import { findMachineRoom, guestWords, needs, osdeploy, osLayout, overlayDisk, vmPlace } from "./os-disk.ts";
import { releaseOf, statusOf } from "./os-guest.ts";

const trixie = findTool("mkfs.btrfs") === undefined ? undefined : findMachineRoom();

/** Files are sealed where this machine's kernel can; where it cannot, the same root is there, and nobody checks it. */
describe.skipIf(trixie === undefined)(`a root on btrfs (needs mkfs.btrfs) ${needs}`, () => {
  let guest: Guest;

  beforeAll(async () => {
    if (trixie === undefined) return;
    const place = join(vmPlace, "btrfs-root");
    rmSync(place, { recursive: true, force: true });
    mkdirSync(place, { recursive: true });
    const base = `${place}.raw`;
    const words = ["--source-imgref", `oci:${osLayout}:v1`, ...guestWords];
    const options = [
      "--size",
      "4G",
      "--boot-size",
      "256M",
      "--filesystem",
      "btrfs",
      "--allow-missing-verity",
      "--wipe",
    ];
    const { status, stderr } = osdeploy("install", "to-disk", ...words, ...options, base);
    if (status !== 0) throw new Error(`osdeploy install to-disk ended with status ${status}: ${stderr}`);
    guest = new Guest({ trixie, place, disks: [overlayDisk(trixie, base, join(place, "disk.qcow2"))], processors: 1 });
    guest.switchOn();
  });
  afterAll(async () => guest?.cutPower());

  test("boots, and its state can be written", async () => {
    expect(await guest.booted(), await guest.output("systemctl --failed --plain --no-legend")).toBe("running");
    expect(await guest.output("findmnt -no SOURCE,FSTYPE /")).toMatch(/^composefs:[0-9a-f]{128} +overlay\n$/);
    expect(await guest.output("findmnt -no FSTYPE /sysroot")).toBe("btrfs\n");
    expect(await releaseOf(guest)).toBe("v1");
    expect(await statusOf(guest)).toMatchObject({ problems: [], bootloader: "systemd-boot" });
    await guest.output("echo mine >/etc/mine && echo mine >/var/mine && osdeploy repo fsck --metadata-only", 1_000_000);
  });
});
