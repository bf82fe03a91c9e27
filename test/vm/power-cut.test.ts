import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { OfflineDisk } from "./disk-damage.ts";
import type { Guest } from "./guest-machine.ts";
import { GuestRegistry } from "./guest-registry.ts";
import { findMachineRoom, needs, vmPlace } from "./os-disk.ts";
import { bootedGuest, releaseOf, statusOf, useRegistry } from "./os-guest.ts";
import { stagedGuest, upgradeSigns, upgradeTimes } from "./staged-guest.ts";
import type { Trixie } from "./trixie.ts";

const trixie = findMachineRoom();
const { OSDEPLOY_POWER_CUTS = "3", OSDEPLOY_POWER_CUT_SEED = `${Date.now() % 1_000_000}` } = process.env;

/** In the order in which they are taken: three cuts are of the first three. */
const moments = ["pull", "finalize", "gc", "stage"] as const;
type Moment = (typeof moments)[number];

/** A power cut: in which work, and after which part of the time that the work takes. */
interface Cut {
  readonly moment: Moment;
  readonly part: number;
}

/** By steps of this part of a whole, any number of points is spread evenly: also those of a run that was stopped. */
const goldenPart = (Math.sqrt(5) - 1) / 2;

/** Where the power goes: each kind of work in turn, from a place that the seed decides. */
function cutsOf(seed: number, count: number): readonly Cut[] {
  let state = seed;
  const random = () => {
    // mulberry32
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const starts = moments.map((moment) => ({ moment, start: random() }));
  const rounds = Array.from({ length: Math.ceil(count / moments.length) }, (_, round) => round * goldenPart);
  return rounds
    .flatMap((step) => starts.map(({ moment, start }) => ({ moment, part: (start + step) % 1 })))
    .slice(0, count);
}

const seed = Number(OSDEPLOY_POWER_CUT_SEED);
const cuts = cutsOf(seed, Number(OSDEPLOY_POWER_CUTS)).map((cut, index) => {
  const name = `${index}: in the middle of ${cut.moment}, at ${Math.round(cut.part * 100)} %`;
  return [name, { ...cut, index }] as const;
});

/** The word on the console that what was staged is the next deployment. */
const finalized = /Stopped [^\n]*osdeploy-finalize-staged/;

describe.skipIf(trixie === undefined)(`power cuts, seed ${seed} ${needs}`, () => {
  let registry: GuestRegistry;
  /** How long each kind of work takes on this machine today, in milliseconds. */
  let lengths: Readonly<Record<Moment, number>>;
  const results: object[] = [];

  beforeAll(async () => {
    if (trixie === undefined) return;
    registry = await GuestRegistry.start("v2");
    lengths = await measured(trixie);
  });
  afterAll(async () => await registry?.stop());

  async function measured(room: Trixie): Promise<Readonly<Record<Moment, number>>> {
    const { pull, stage, gc } = await upgradeTimes(room);
    const finalize = await timeOfFinalizing(room);
    // Collecting also removes; and some cuts come after a deployment was finalized, on the way down.
    return { pull, stage, finalize: 1.15 * finalize, gc: 1.5 * gc };
  }

  /** Milliseconds from the order to reboot until what was staged is the next deployment. */
  async function timeOfFinalizing(room: Trixie): Promise<number> {
    const guest = await guestFor(room, "finalize", "cut-timed");
    try {
      await guest.begin("systemctl --no-block reboot");
      const begun = Date.now();
      await guest.consoleSays(finalized);
      return Date.now() - begun;
    } finally {
      await guest.cutPower();
    }
  }

  /** Begins the work and cuts the power in the middle. Gives how long it had, and what the console said. */
  async function cutIn(
    guest: Guest,
    { moment, part }: Cut,
  ): Promise<{ readonly afterMs: number; readonly said: string }> {
    const from = guest.console.length;
    if (moment === "gc") {
      // What was staged is dropped: there is something to collect.
      const older = await GuestRegistry.start("v1");
      await useRegistry(guest, older);
      await guest.output("osdeploy upgrade");
      await useRegistry(guest, registry);
      await older.stop();
      await guest.begin("osdeploy --progress plain gc 2>/dev/ttyS0");
    } else if (moment === "finalize") await guest.begin("systemctl --no-block reboot");
    else {
      await guest.begin("osdeploy --progress plain upgrade 2>/dev/ttyS0");
      await guest.consoleSays(upgradeSigns[moment], { from });
    }
    const begun = Date.now();
    await pause(part * lengths[moment]);
    const said = guest.console.slice(from);
    const afterMs = Date.now() - begun;
    await guest.cutPower();
    return { afterMs, said };
  }

  async function guestFor(room: Trixie, moment: Moment, name: string): Promise<Guest> {
    const untouched = moment === "pull" || moment === "stage";
    return untouched ? await bootedGuest(room, name, registry) : await stagedGuest(room, name, registry);
  }

  /** Nothing that has its name is half written, as the kernel will find it. */
  function expectWhole(room: Trixie, place: string): void {
    const disk = new OfflineDisk(room, join(place, "disk.qcow2"), join(place, "after-cut.raw"));
    expect(disk.damagedObjects("/composefs")).toEqual([]);
    rmSync(disk.file);
  }

  /** Boots what the cut left, and upgrades it. Gives what booted. */
  async function goOn(guest: Guest, moment: Moment): Promise<{ readonly boots: string; readonly upgrade: string }> {
    guest.switchOn();
    expect(await guest.booted(), await guest.output("systemctl --failed --plain --no-legend")).toBe("running");
    const boots = await releaseOf(guest);
    expect(moment === "finalize" ? ["v1", "v2"] : ["v1"]).toContain(boots);
    expect((await statusOf(guest)).problems).toEqual([]);
    const { kind: upgrade } = (await guest.json("osdeploy --json upgrade")) as { readonly kind: string };
    expect(upgrade).toBe(boots === "v1" ? "staged" : "kept");
    return { boots, upgrade };
  }

  /** After each, so that a run that is stopped has told how far it came. */
  function record(result: object): void {
    results.push(result);
    const text = JSON.stringify({ seed, cuts: cuts.length, lengths, results }, undefined, 2);
    writeFileSync(join(vmPlace, "power-cuts.json"), `${text}\n`);
  }

  // Several at once where vitest is told so; each has a machine of its own.
  test.concurrent.each(cuts)("%s: boots the old or the new, and the next upgrade succeeds", async (_, cut) => {
    if (trixie === undefined) return;
    const place = join(vmPlace, `cut-${cut.index}`);
    const guest = await guestFor(trixie, cut.moment, `cut-${cut.index}`);
    let told: object = cut;
    try {
      const { afterMs, said } = await cutIn(guest, cut);
      told = { ...cut, afterMs, lastWords: said.trimEnd().split("\n").at(-1)?.slice(0, 120) };
      expectWhole(trixie, place);
      record({ ...told, ...(await goOn(guest, cut.moment)) });
    } catch (error) {
      record({ ...told, failed: `${error}`.slice(0, 1000) });
      throw error;
    } finally {
      await guest.cutPower();
    }
    rmSync(place, { recursive: true });
  });
});
