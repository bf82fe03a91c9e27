import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Guest } from "./guest-machine.ts";
import { GuestRegistry } from "./guest-registry.ts";
import { onceARun, vmPlace } from "./os-disk.ts";
import { bootedGuest, newGuest, useRegistry } from "./os-guest.ts";
import type { Trixie } from "./trixie.ts";

/** The words on the console with which parts of an upgrade begin. */
export const upgradeSigns = { pull: /Importing layers/, stage: /Copying kernel and initramfs/ } as const;

/** How long a guest takes on this machine today, in milliseconds. */
export interface UpgradeTimes {
  readonly pull: number;
  readonly stage: number;
  /** Of finding that there is nothing to collect. */
  readonly gc: number;
}

const stagedPlace = join(vmPlace, "staged");
const timesFile = join(vmPlace, "staged-times.json");
const snapshot = { place: join(vmPlace, "staged-snapshot") };

/** A guest that has booted v1, staged v2, and uses this registry, as {@link bootedGuest}. */
export async function stagedGuest(trixie: Trixie, name: string, registry: GuestRegistry): Promise<Guest> {
  await onceARun("staged", () => stageForSnapshot(trixie));
  const guest = newGuest(trixie, name, { base: join(stagedPlace, "disk.qcow2") });
  await guest.resume(snapshot);
  await useRegistry(guest, registry);
  return guest;
}

/** What the guest took that {@link stagedGuest} goes on from. */
export async function upgradeTimes(trixie: Trixie): Promise<UpgradeTimes> {
  await onceARun("staged", () => stageForSnapshot(trixie));
  return JSON.parse(readFileSync(timesFile, "utf8")) as UpgradeTimes;
}

async function stageForSnapshot(trixie: Trixie): Promise<void> {
  const registry = await GuestRegistry.start("v2");
  try {
    const guest = await bootedGuest(trixie, "staged", registry);
    const ended = await guest.begin("osdeploy --progress plain upgrade 2>/dev/ttyS0");
    const marks = [Date.now()];
    for (const sign of [upgradeSigns.pull, upgradeSigns.stage]) {
      await guest.consoleSays(sign);
      marks.push(Date.now());
    }
    const { status } = await ended();
    if (status !== 0) throw new Error(`osdeploy upgrade ended with status ${status} in the guest`);
    marks.push(Date.now());
    await guest.run("osdeploy --quiet gc --dry-run");
    const [, pulling = 0, staging = 0, end = 0] = marks;
    const times: UpgradeTimes = { pull: staging - pulling, stage: end - staging, gc: Date.now() - end };
    writeFileSync(timesFile, JSON.stringify(times));
    await guest.save(snapshot);
  } finally {
    await registry.stop();
  }
}
