import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { OfflineDisk } from "./disk-damage.ts";
import type { Guest } from "./guest-machine.ts";
import { GuestRegistry } from "./guest-registry.ts";
import { findMachineRoom, needs, vmPlace } from "./os-disk.ts";
import { bootedGuest, newGuest, releaseOf, statusOf } from "./os-guest.ts";
import type { Trixie } from "./trixie.ts";

const trixie = findMachineRoom();
const { OSDEPLOY_POWER_CUTS = "3", OSDEPLOY_POWER_CUT_SEED = `${Date.now() % 1_000_000}` } = process.env;

const moments = ["pull", "finalize", "gc", "stage"] as const;
type Moment = (typeof moments)[number];

/** A power cut: in which work, and after which part of the time that the work takes. */
interface Cut {
  readonly moment: Moment;
  readonly part: number;
}

/** Where the power goes, from a seed: each kind of work in turn, spread over its length. */
function cutsOf(seed: number, count: number): readonly Cut[] {
  let state = seed;
  const random = () => {
    // mulberry32
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const rounds = Math.ceil(count / moments.length);
  return Array.from({ length: count }, (_, index) => {
    const moment = moments[index % moments.length] ?? "pull";
    return { moment, part: (Math.floor(index / moments.length) + random()) / rounds };
  });
}

const seed = Number(OSDEPLOY_POWER_CUT_SEED);
const cuts = cutsOf(seed, Number(OSDEPLOY_POWER_CUTS)).map((cut, index) => ({
  ...cut,
  index,
  percent: Math.round(cut.part * 100),
}));

/** The words on the console with which work begins. */
const signs = { pull: /Importing layers/, stage: /Copying kernel and initramfs/ } as const;

describe.skipIf(trixie === undefined)(`power cuts, seed ${seed} ${needs}`, () => {
  let registry: GuestRegistry;
  /** How long each kind of work takes on this machine today, in milliseconds. */
  let lengths: Readonly<Record<Moment, number>>;
  const staged = { place: join(vmPlace, "cut-staged-snapshot") };
  const results: object[] = [];

  beforeAll(async () => {
    if (trixie === undefined) return;
    registry = await GuestRegistry.start("v2");
    lengths = await prepare(trixie);
  });
  afterAll(async () => {
    await registry?.stop();
    if (trixie !== undefined)
      writeFileSync(join(vmPlace, "power-cuts.json"), `${JSON.stringify({ seed, lengths, results }, undefined, 2)}\n`);
  });

  /** Saves a guest that has staged v2, and measures the work on the way. */
  async function prepare(room: Trixie): Promise<Readonly<Record<Moment, number>>> {
    await registry.offer("v2");
    const guest = await bootedGuest(room, "cut-staged");
    const ended = await guest.begin("osdeploy --progress plain upgrade 2>/dev/ttyS0");
    const marks = [Date.now()];
    for (const sign of [signs.pull, signs.stage]) {
      await guest.consoleSays(sign);
      marks.push(Date.now());
    }
    expect((await ended()).status).toBe(0);
    marks.push(Date.now());
    await guest.run("osdeploy --quiet gc --dry-run");
    const [, pulling = 0, staging = 0, end = 0] = marks;
    const gc = Date.now() - end;
    await guest.save(staged);
    // Finalizing does the last part of staging once more, after other services have stopped.
    return { pull: staging - pulling, stage: end - staging, finalize: end - staging + 8000, gc };
  }

  /** Switches a guest on where the work is about to begin, and cuts its power in the middle. Gives what the console said. */
  async function cutIn(guest: Guest, { moment, part }: Cut): Promise<string> {
    const from = guest.console.length;
    if (moment === "gc") {
      // What was staged is dropped: there is something to collect.
      await registry.offer("v1");
      await guest.output("osdeploy upgrade");
      await registry.offer("v2");
      await guest.begin("osdeploy --progress plain gc 2>/dev/ttyS0");
    } else if (moment === "finalize") await guest.begin("systemctl --no-block reboot");
    else {
      await guest.begin("osdeploy --progress plain upgrade 2>/dev/ttyS0");
      await guest.consoleSays(signs[moment], { from });
    }
    await pause(part * lengths[moment]);
    const said = guest.console.slice(from);
    await guest.cutPower();
    return said;
  }

  async function guestFor(room: Trixie, moment: Moment, name: string): Promise<Guest> {
    if (moment === "pull" || moment === "stage") return await bootedGuest(room, name);
    const guest = newGuest(room, name, { base: join(vmPlace, "cut-staged/disk.qcow2") });
    await guest.resume(staged);
    return guest;
  }

  test.each(cuts)(
    "$index: in the middle of $moment, at $percent %: boots the old or the new, and the next upgrade succeeds",
    async (cut) => {
      if (trixie === undefined) return;
      const guest = await guestFor(trixie, cut.moment, `cut-${cut.index}`);
      const said = await cutIn(guest, cut);
      const result = {
        ...cut,
        lastWords: said.trimEnd().split("\n").at(-1)?.slice(0, 120),
        boots: "not",
        upgrade: "not",
      };
      results.push(result);
      const place = join(vmPlace, `cut-${cut.index}`);
      const disk = new OfflineDisk(trixie, join(place, "disk.qcow2"), join(place, "after-cut.raw"));
      expect(disk.damagedObjects("/composefs")).toEqual([]);
      rmSync(disk.file);
      guest.switchOn();
      expect(await guest.booted(), await guest.output("systemctl --failed --plain --no-legend")).toBe("running");
      const release = await releaseOf(guest);
      result.boots = release;
      expect(cut.moment === "finalize" ? ["v1", "v2"] : ["v1"]).toContain(release);
      expect((await statusOf(guest)).problems).toEqual([]);
      const { kind } = (await guest.json("osdeploy --json upgrade")) as { readonly kind: string };
      result.upgrade = kind;
      expect(kind).toBe(release === "v1" ? "staged" : "kept");
      await guest.cutPower();
    },
  );
});
