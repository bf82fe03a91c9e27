import { closeSync, mkdirSync, openSync, rmSync, truncateSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { fromText } from "../../src/core/bytes/byte-string.ts";
import { diskArchitecture, espType, extendedBootType } from "../../src/core/disk/disk-architecture.ts";
import { writePartitionTable } from "../../src/core/disk/gpt.ts";
import { uuidOfSeed } from "../../src/core/disk/uuid.ts";
import { Guest } from "./guest-machine.ts";
import { baseDisk, findMachineRoom, guestWords, installBaseDisk, needs, overlayDisk, vmPlace } from "./os-disk.ts";
import { releaseOf, statusOf } from "./os-guest.ts";
import { layoutDisk } from "./package-disk.ts";

const trixie = findMachineRoom();
const mebibyte = 1024 * 1024;
const diskBytes = 4096 * mebibyte;

/** What an administrator partitions: EFI system partition, extended boot partition, root. */
const partitions = [
  { type: espType, uuid: uuidOfSeed("esp"), name: "esp", offsetBytes: mebibyte, sizeBytes: 64 * mebibyte },
  {
    type: extendedBootType,
    uuid: uuidOfSeed("boot"),
    name: "boot",
    offsetBytes: 65 * mebibyte,
    sizeBytes: 256 * mebibyte,
  },
  {
    ...{ type: diskArchitecture("amd64").rootType, uuid: uuidOfSeed("root"), name: "root" },
    ...{ offsetBytes: 321 * mebibyte, sizeBytes: 3700 * mebibyte },
  },
];

/** A disk that holds a partition table and nothing else. */
function makeEmptyDisk(file: string): void {
  rmSync(file, { force: true });
  writeFileSync(file, "");
  truncateSync(file, diskBytes);
  const fd = openSync(file, "r+");
  const table = { diskUuid: uuidOfSeed("disk"), diskBytes, sectorBytes: 512, partitions };
  for (const { offsetBytes, bytes } of writePartitionTable(table)) writeSync(fd, bytes, 0, bytes.length, offsetBytes);
  closeSync(fd);
}

/** A running system installs another one to file systems that somebody made, and that one starts by itself. */
describe.skipIf(trixie === undefined)(`install to-filesystem with --esp ${needs}`, () => {
  const place = join(vmPlace, "to-filesystem");
  const target = join(place, "target.raw");
  let installer: Guest;
  let installed: Guest | undefined;

  beforeAll(async () => {
    if (trixie === undefined) return;
    rmSync(place, { recursive: true, force: true });
    mkdirSync(place, { recursive: true });
    await installBaseDisk("systemd-boot");
    makeEmptyDisk(target);
    const system = overlayDisk(trixie, baseDisk("systemd-boot"), join(place, "disk.qcow2"));
    const disks = [system, await layoutDisk(trixie, place), { file: fromText(target), format: "raw" } as const];
    installer = new Guest({ trixie, place, disks, processors: 1 });
    installer.switchOn();
  });
  afterAll(async () => {
    await installer?.cutPower();
    await installed?.cutPower();
  });

  test("seals the files by the kernel, and puts the loader alone on the partition of its own", async () => {
    await installer.booted();
    await installer.output("mount -o ro /dev/vdb /mnt && mkdir -p /run/target /run/esp");
    await installer.output("mkfs.vfat /dev/vdc1 && mkfs.vfat -F 32 /dev/vdc2 && mkfs.ext4 -q -O verity /dev/vdc3");
    await installer.output("mount /dev/vdc3 /run/target && mkdir /run/target/boot && mount /dev/vdc2 /run/target/boot");
    await installer.output("mount /dev/vdc1 /run/esp");
    const words = "--source-imgref oci:/mnt:v2 --target-imgref registry.example/os:latest --esp /run/esp";
    const kernelArguments = `${guestWords.join(" ")} --karg panic=1`;
    const osdeploy = "node /mnt/osdeploy/dist/cli/main.js --json";
    const made = await installer.run(
      `${osdeploy} install to-filesystem ${words} ${kernelArguments} /run/target`,
      1_500_000,
    );
    expect(made, made.stderr).toMatchObject({ status: 0 });
    expect(made.stderr).not.toContain("follows");
    expect(await installer.output("ls /run/esp/EFI /run/target/boot")).toMatch(
      /BOOT\nsystemd\n\n.*\nefi\nloader\nosdeploy\n/s,
    );
    await installer.output("umount /run/esp /run/target/boot /run/target && sync");
    await installer.shutDown();
  });

  test("the machine starts from it, verified, with all three partitions in their places", async () => {
    if (trixie === undefined) return;
    const own = join(place, "installed");
    mkdirSync(own, { recursive: true });
    installed = new Guest({ trixie, place: own, disks: [{ file: fromText(target), format: "raw" }], processors: 1 });
    installed.switchOn();
    expect(await installed.booted(), await installed.output("systemctl --failed --plain --no-legend")).toBe("running");
    expect(await installed.output("findmnt -no OPTIONS /")).toContain("verity=require");
    expect(await installed.output("findmnt -no SOURCE,FSTYPE /boot")).toMatch(/^\/dev\/vda2 +vfat\n$/);
    expect(await installed.output("findmnt -no SOURCE,FSTYPE /boot/efi")).toMatch(/^\/dev\/vda1 +vfat\n$/);
    expect(await releaseOf(installed)).toBe("v2");
    expect(await statusOf(installed)).toMatchObject({ bootloader: "systemd-boot", problems: [], quarantine: [] });
  });
});
