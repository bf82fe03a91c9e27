import { rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { extractImage } from "../tools/extract-image.ts";
import { OfflineDisk } from "./disk-damage.ts";
import { baseDisk, findMachineRoom, installBaseDisk, needs, osLayout, vmPlace } from "./os-disk.ts";
import { newGuest } from "./os-guest.ts";
import type { Trixie } from "./trixie.ts";

const trixie = findMachineRoom();
const { OSDEPLOY_BOOT_TIME } = process.env;

/** How long one boot took. */
interface BootTime {
  /** From the start of the kernel to multi-user.target, as the guest's clock has it. */
  readonly seconds: number;
  /** Of the whole QEMU process, from power-on to multi-user.target: depends less on what else the machine does. */
  readonly cpuSeconds: number;
  /** The same, until nothing is left to do: boot-complete and all that comes after the target. */
  readonly settledCpuSeconds: number;
}

/** `npm run bench:boot`: needs a machine that does nothing else. */
test.skipIf(trixie === undefined || OSDEPLOY_BOOT_TIME === undefined)(
  `boot time of a composefs root against the same image on plain ext4 (skipped in npm run test:vm) ${needs}`,
  async () => {
    if (trixie === undefined) return;
    await installBaseDisk("systemd-boot");
    const disks = {
      composefs: await bootOnce(trixie, "composefs", baseDisk("systemd-boot")),
      plain: await bootOnce(trixie, "plain", makePlainDisk(trixie)),
    };
    const times: Record<keyof typeof disks, BootTime[]> = { composefs: [], plain: [] };
    // In turn, so that a slow minute of the machine meets both.
    for (let round = 0; round < 3; round++) {
      for (const kind of ["plain", "composefs"] as const) times[kind].push(await boot(trixie, kind, disks[kind]));
    }
    const medians = Object.fromEntries(Object.entries(times).map(([kind, all]) => [kind, median(all)]));
    const { composefs, plain } = medians;
    const ratio = (of: keyof BootTime) => (composefs?.[of] ?? 0) / (plain?.[of] ?? 1);
    const ratios = Object.fromEntries(figures.map((figure) => [figure, ratio(figure)]));
    writeFileSync(join(vmPlace, "boot-time.json"), `${JSON.stringify({ medians, times, ratios }, undefined, 2)}\n`);
    console.log(JSON.stringify({ medians, ratios }, undefined, 2));
    expect(ratio("cpuSeconds")).toBeLessThan(1.5);
  },
  3_600_000,
);

const figures = ["seconds", "cpuSeconds", "settledCpuSeconds"] as const;

function median(times: readonly BootTime[]): BootTime {
  const middle = (of: keyof BootTime) => times.map((time) => time[of]).sort((a, b) => a - b)[times.length >> 1] ?? 0;
  return {
    seconds: middle("seconds"),
    cpuSeconds: middle("cpuSeconds"),
    settledCpuSeconds: middle("settledCpuSeconds"),
  };
}

/** A disk after its first boot, which makes keys of random numbers, and what the later ones find. */
async function bootOnce(room: Trixie, name: string, base: string): Promise<string> {
  const place = `boot-time-first-${name}`;
  const guest = newGuest(room, place, { base });
  guest.switchOn();
  await guest.booted();
  await guest.shutDown();
  return join(vmPlace, place, "disk.qcow2");
}

async function boot(room: Trixie, name: string, base: string): Promise<BootTime> {
  const guest = newGuest(room, `boot-time-${name}`, { base });
  guest.switchOn();
  await guest.ready();
  // Who asks the guest again and again takes from its one processor.
  await guest.consoleSays(/Reached target.*multi-user\.target/);
  const { cpuSeconds } = guest;
  await guest.run("systemctl is-system-running --wait");
  const { cpuSeconds: settledCpuSeconds } = guest;
  const micros = await guest.output("systemctl show --value -p ActiveEnterTimestampMonotonic multi-user.target");
  expect(await guest.output("findmnt -no FSTYPE /")).toBe(name === "plain" ? "ext4\n" : "overlay\n");
  await guest.cutPower();
  return { seconds: Number(micros) / 1_000_000, cpuSeconds, settledCpuSeconds };
}

/** The base disk with the same image as ordinary files on ext4, and with kernel arguments that say so. */
function makePlainDisk(room: Trixie): string {
  const disk = new OfflineDisk(room, baseDisk("systemd-boot"), join(vmPlace, "plain.raw"));
  const tree = join(vmPlace, "plain-tree");
  rmSync(tree, { recursive: true, force: true });
  extractImage(osLayout, "v1", tree);
  const root = join(vmPlace, "plain-root.raw");
  rmSync(root, { force: true });
  writeFileSync(root, "");
  truncateSync(root, disk.rootBytes);
  const options = ["-q", "-b", "4096", "-O", "verity", "-U", disk.rootUuid(), "-d", tree];
  if (room.run("usr/sbin/mkfs.ext4", ...options, root).status !== 0) throw new Error("mkfs.ext4 failed");
  disk.replaceRoot(root);
  const entries = disk.boot("mdir", "-b", "::/loader/entries").trim().split("\n");
  const [entry = ""] = entries;
  const text = disk.boot("mtype", entry).replace(/ (composefs|osdeploy\.entry)=\S+/g, "");
  const file = join(vmPlace, "plain-entry.conf");
  writeFileSync(file, text);
  disk.boot("mcopy", "-o", file, entry);
  for (const path of [tree, root]) rmSync(path, { recursive: true });
  return disk.file;
}
