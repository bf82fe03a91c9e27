import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import type { Guest } from "./guest-machine.ts";
import { GuestRegistry } from "./guest-registry.ts";
import { deadlineSeconds, findMachineRoom, needs } from "./os-disk.ts";
import { bootedGuest, digestsByRole, releaseOf, statusOf } from "./os-guest.ts";

const trixie = findMachineRoom();
const { OSDEPLOY_ALL_TRIES } = process.env;

/** The counters of an entry: as they are given, after two boots that failed, and without any but one. */
const allTries = { left: 3, name: "+3" } as const;
const lastTry = { left: 1, name: "+1-2" } as const;
const onlyTry = { left: 1, name: "+1" } as const;

/** An image that is broken, what is seen of it, and what the record of it has to say. */
const broken = [
  {
    tag: "panic",
    // All three in `npm run test:vm:more`: that a loader counts them down, boot-loaders.test.ts shows.
    tries: OSDEPLOY_ALL_TRIES === undefined ? lastTry : allTries,
    deadline: deadlineSeconds,
    sign: /Kernel panic - not syncing: sysrq triggered crash/g,
    reason: /3 boots of it did not complete/,
  },
  {
    tag: "hang",
    tries: onlyTry,
    // Always waited for to its end.
    deadline: 60,
    sign: /A start job is running for .*Hang|deadline/gi,
    reason: /not complete|within|deadline/i,
  },
  { tag: "sick", tries: onlyTry, deadline: deadlineSeconds, sign: /sick/g, reason: /sick/ },
] as const;

describe.skipIf(trixie === undefined)(`an upgrade to an image that does not boot well ${needs}`, () => {
  let registry: GuestRegistry;
  let v1: string;
  let guest: Guest | undefined;
  beforeAll(async () => {
    registry = await GuestRegistry.start("v1");
    v1 = await registry.offer("v1");
  });
  afterEach(async () => await guest?.cutPower());
  afterAll(async () => await registry?.stop());

  test.each(broken)(
    "$tag: falls back by itself, and is left alone from then on",
    async ({ tag, tries, deadline, sign, reason }) => {
      if (trixie === undefined) return;
      guest = await bootedGuest(trixie, `way-back-${tag}`, registry);
      // On top of what the guest has: the same layer that breaks v2, without minutes of importing.
      const bad = await registry.offerTopOf(tag, "v1");
      expect(await guest.json("osdeploy --json upgrade")).toMatchObject({ kind: "staged" });
      await guest.output("systemctl stop osdeploy-finalize-staged.service");
      const entry = "/boot/loader/entries/osdeploy-000002";
      await guest.output(`grep -q composefs= ${entry}+3.conf`);
      await guest.output(`sed -i s/deadline=${deadlineSeconds}/deadline=${deadline}/ ${entry}+3.conf`);
      if (tries !== allTries) await guest.output(`mv ${entry}+3.conf ${entry}${tries.name}.conf`);
      await guest.output("sync");
      const from = guest.console.length;
      await guest.reboot();
      // Shells of boots that fail come and go: what counts is the one that stays.
      await guest.until("the start of the last entry", starts(guest, from, tries.left + 1), 1_500_000);
      guest.forgetShells();
      await guest.ready();
      await guest.run("systemctl is-system-running --wait");
      expect(await releaseOf(guest)).toBe("v1");
      expect(guest.console.slice(from).match(sign)?.length, guest.console.slice(from)).toBeGreaterThanOrEqual(
        tries.left,
      );
      const status = await statusOf(guest);
      expect(digestsByRole(status)).toMatchObject({ booted: v1, default: v1 });
      expect(status.quarantine).toMatchObject([{ manifestDigest: bad, reason: expect.stringMatching(reason) }]);
      // What the check said is in the log that is kept; a kernel that panics writes none.
      if (tag === "sick") {
        expect(await guest.output("osdeploy quarantine list --verbose")).toContain("what must work does not");
      }
      expect(await guest.json("osdeploy --json upgrade")).toMatchObject({ kind: "quarantined", manifestDigest: bad });
      expect((await statusOf(guest)).staged).toBeNull();
    },
  );
});

/** Whether the console has seen so many starts of a loader since `from`. */
function starts(guest: Guest, from: number, count: number) {
  return () => ((guest.console.slice(from).match(/BdsDxe: starting/g)?.length ?? 0) >= count ? true : undefined);
}
