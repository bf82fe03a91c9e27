import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { verityDigest } from "../../src/core/digest/fs-verity.ts";
import { OfflineDisk, objectPath } from "./disk-damage.ts";
import type { Guest } from "./guest-machine.ts";
import { GuestRegistry } from "./guest-registry.ts";
import { findMachineRoom, needs, vmPlace } from "./os-disk.ts";
import { digestsByRole, newGuest, releaseOf, statusOf } from "./os-guest.ts";
import { stagedGuest } from "./staged-guest.ts";

const trixie = findMachineRoom();

/** A file of both releases that nothing reads while the system comes up. */
const victim = "/usr/share/common-licenses/GPL-3";

describe.skipIf(trixie === undefined)(`a disk that is damaged while the machine is off ${needs}`, () => {
  const disk = join(vmPlace, "damage-made/disk.qcow2");
  let v1: string;
  let roots: { readonly v1: string; readonly v2: string };
  let object: string;
  let guest: Guest | undefined;

  /** A disk with v1, and v2 that boots next. */
  beforeAll(async () => {
    if (trixie === undefined) return;
    const registry = await GuestRegistry.start("v1");
    v1 = await registry.offer("v1");
    const maker = await stagedGuest(trixie, "damage-made", registry);
    object = verityDigest("sha512", Buffer.from(await maker.output(`cat ${victim}`)));
    const { booted, staged } = await statusOf(maker);
    roots = { v1: booted ?? "", v2: staged?.rootImage ?? "" };
    await maker.output("systemctl stop osdeploy-finalize-staged.service");
    await maker.shutDown();
    await registry.stop();
  });
  afterEach(async () => await guest?.cutPower());
  afterAll(() => undefined);

  test("a flipped byte in the root image: refused, the other entry boots; one in an object: EIO for its file alone", async () => {
    if (trixie === undefined) return;
    const offline = new OfflineDisk(trixie, disk, join(vmPlace, "damage-flipped.raw"));
    // In the middle, where the measurement, which reads only the root of the tree of digests, does not see it.
    offline.flipByte(objectPath(roots.v2), 7);
    offline.flipByte(objectPath(object), 1);
    guest = newGuest(trixie, "damage-flipped", { base: offline.file });
    guest.switchOn();
    await guest.booted();
    expect(guest.console).toMatch(/Cannot boot osdeploy-000002: .*root image/);
    expect(await releaseOf(guest)).toBe("v1");
    const status = await statusOf(guest);
    expect(digestsByRole(status)).toMatchObject({ booted: v1, default: v1 });
    // It is this disk that is bad, not the image: an upgrade may bring it again.
    expect(status.quarantine).toEqual([]);
    expect(status.problems.join("\n")).toContain("root image");

    expect(await guest.run(`head -c 4096 ${victim} >/dev/null`)).toMatchObject({ status: 0 });
    const read = await guest.run(`cat ${victim} >/dev/null`);
    expect(read).toMatchObject({ status: 1, stderr: expect.stringContaining("Input/output error") });
    const others = await guest.run("find /usr -xdev -type f -print0 | xargs -0 cat 2>&1 >/dev/null | sort -u");
    expect(others.stdout).toBe(`cat: ${victim}: Input/output error\n`);

    const fsck = await guest.run("osdeploy --json repo fsck");
    expect(fsck.status).toBe(8);
    const { problems } = JSON.parse(fsck.stdout) as Fsck;
    const ofObject = problems.filter((problem) => problem.object === object);
    expect(ofObject.flatMap((problem) => problem.files)).toContain(victim);
    expect(ofObject.flatMap((problem) => problem.hits).join("\n")).toContain(v1);
    // The damaged deployment is gone: nothing needs it after a good boot, and an upgrade brings it whole.
    expect(status.deployments).toHaveLength(1);
    expect(new Set(problems.map((problem) => problem.object).filter((id) => id !== null))).toEqual(new Set([object]));
  });

  test("a swapped root image: refused, the other entry boots", async () => {
    if (trixie === undefined) return;
    const offline = new OfflineDisk(trixie, disk, join(vmPlace, "damage-swapped.raw"));
    const link = `/composefs/images/${roots.v2}`;
    offline.debugfs(`rm ${link}`, `symlink ${link} ../objects/${roots.v1.slice(0, 2)}/${roots.v1.slice(2)}`);
    guest = newGuest(trixie, "damage-swapped", { base: offline.file });
    guest.switchOn();
    await guest.booted();
    expect(guest.console).toMatch(/Cannot boot osdeploy-000002: .*root image/);
    expect(await releaseOf(guest)).toBe("v1");
    expect(digestsByRole(await statusOf(guest))).toMatchObject({ booted: v1, default: v1 });
  });
});

interface Fsck {
  readonly problems: readonly {
    readonly object: string | null;
    readonly hits: readonly string[];
    readonly files: readonly string[];
  }[];
}
