import { rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { OfflineDisk } from "./disk-damage.ts";
import type { Guest } from "./guest-machine.ts";
import { GuestRegistry } from "./guest-registry.ts";
import {
  findMachineRoom,
  guestImage,
  installBaseDisk,
  needs,
  type TestLoader,
  uniqueBytes,
  vmPlace,
} from "./os-disk.ts";
import {
  bootedGuest,
  digestsByRole,
  type GuestStatus,
  newGuestOf,
  releaseOf,
  statusOf,
  useRegistry,
} from "./os-guest.ts";
import type { Trixie } from "./trixie.ts";

const trixie = findMachineRoom();
/** GRUB first: in that time another test file makes the state that the other begins with. */
const loaders: readonly TestLoader[] = ["grub", "systemd-boot"];

/** A machine after the first boot of its disk; all test files share that of systemd-boot. */
async function firstBoot(room: Trixie, loader: TestLoader, registry: GuestRegistry): Promise<Guest> {
  if (loader === "systemd-boot") return await bootedGuest(room, `life-${loader}`, registry);
  await installBaseDisk(loader);
  const guest = newGuestOf(room, `life-${loader}`, loader);
  guest.switchOn();
  await guest.ready();
  return guest;
}

/** A whole life: installed, upgraded, set back. With GRUB in short: what differs is who starts the kernel. */
describe.skipIf(trixie === undefined).each(loaders)(`an OS on a disk, started by %s ${needs}`, (loader) => {
  /** What does not depend on who starts the kernel takes minutes, and is shown once. */
  const inFull: (name: string, act: () => Promise<void>) => void = loader === "grub" ? () => {} : test;
  let guest: Guest;
  let registry: GuestRegistry;
  let v1: string;
  let v2: string;

  beforeAll(async () => {
    if (trixie === undefined) return;
    registry = await GuestRegistry.start("v1");
    v1 = await registry.offer("v1");
    guest = await firstBoot(trixie, loader, registry);
  });
  afterAll(async () => {
    await guest?.cutPower();
    await registry?.stop();
  });

  test("install: the disk boots through firmware and loader to a system where nothing failed", async () => {
    expect(await guest.settled(), await guest.output("systemctl --failed --plain --no-legend")).toBe("running");
    expect(guest.console.match(/BdsDxe: starting/g)).toHaveLength(1);
    expect(await guest.output("cat /sys/firmware/efi/fw_platform_size")).toBe("64\n");
    expect(await guest.output("systemctl is-active release-agent.service multi-user.target")).toBe("active\nactive\n");
    expect(await releaseOf(guest)).toBe("v1");
  });

  test("install: the root is the image, read-only, and each file of it verified by the kernel", async () => {
    const status = await statusOf(guest);
    const root = await guest.output("findmnt -no SOURCE,FSTYPE,OPTIONS /");
    expect(root).toMatch(/^composefs:[0-9a-f]{128} +overlay +ro,.*verity=require/);
    expect(root).toContain(`composefs:${status.booted} `);
    expect(await guest.run("touch /usr/file")).toMatchObject({
      status: 1,
      stderr: expect.stringContaining("Read-only"),
    });
    expect(await guest.run("touch /sysroot/file")).toMatchObject({
      status: 1,
      stderr: expect.stringContaining("Read-only"),
    });
    // What is sealed nobody can change, on whatever way.
    const object = await guest.output("find /sysroot/composefs/objects -type f | head -n 1");
    const writable = `mkdir -p /run/disk && mount -o bind,rw /sysroot /run/disk && mount -o remount,bind,rw /run/disk`;
    await guest.output(writable);
    const written = await guest.run(`echo x >>/run/disk/${object.trim().replace("/sysroot/", "")}`);
    expect(written.status).not.toBe(0);
    expect(written.stderr).toContain("Operation not permitted");
    await guest.output("umount /run/disk");
  });

  test("status: one deployment, booted, whose entry is not counted; no problems", async () => {
    const status = await statusOf(guest);
    expect(status).toMatchObject({ bootloader: loader, countsTries: true, staged: null, problems: [], quarantine: [] });
    expect(status.deployments).toHaveLength(1);
    expect(status.deployments[0]).toMatchObject({ manifestDigest: v1, verity: "required", quarantineReason: null });
    expect(digestsByRole(status)).toMatchObject({ booted: v1, default: v1 });
    expect(entriesOf(status)).toEqual([{ name: expect.any(String), triesLeft: null, triesDone: null, booted: true }]);
  });

  test("upgrade: from a registry, staged; a second one has nothing to do", async () => {
    await useRegistry(guest, registry);
    await guest.output(
      "echo mine >/etc/local.conf && echo also-mine >>/etc/hosts && rm /etc/skel/README && echo kept >/var/kept",
    );
    expect(await guest.json("osdeploy --json upgrade")).toMatchObject({ kind: "kept" });
    v2 = await registry.offer("v2");
    const staged = await guest.json("osdeploy --json upgrade");
    expect(staged).toMatchObject({ kind: "staged", image: `docker://${guestImage}`, etcConflicts: [] });
    expect(await guest.json("osdeploy --json upgrade")).toMatchObject({ kind: "kept-staged" });
    expect(digestsByRole(await statusOf(guest))).toMatchObject({ booted: v1, default: v1, staged: v2 });
    // What is changed between staging and shutdown comes along.
    await guest.output("echo late >/etc/late.conf");
  });

  test("reboot: the new version runs, with the edits of /etc and its own changes; /var is the same", async () => {
    await guest.reboot();
    expect(await guest.booted(), await guest.output("systemctl --failed --plain --no-legend")).toBe("running");
    expect(await releaseOf(guest)).toBe("v2");
    expect(await guest.output("cat /etc/local.conf /etc/late.conf /var/kept")).toBe("mine\nlate\nkept\n");
    expect(await guest.output("cat /etc/hosts")).toContain("also-mine");
    expect(await guest.run("cat /etc/skel/README")).toMatchObject({ status: 1 });
    expect(await guest.output("cat /etc/motd /etc/release.conf")).toBe("Release v2\nrelease=v2\n");
    const status = await statusOf(guest);
    expect(digestsByRole(status)).toMatchObject({ booted: v2, default: v2, rollback: v1 });
    // A good boot takes the counters away.
    for (const entry of entriesOf(status)) expect(entry).toMatchObject({ triesLeft: null });
    expect(status.problems).toEqual([]);
  });

  inFull("both versions: their files take little more than what is in them once", async () => {
    const unique = uniqueBytes(["v1", "v2"]);
    expect(unique).toBeGreaterThan(200_000_000);
    const { all, rootImages } = await repoBytes(guest);
    expect((all - rootImages) / unique).toBeLessThanOrEqual(1.02);
    // Two releases have two root images each, of one size however large the files are: 3 % of this small image.
    expect(all / unique).toBeLessThanOrEqual(1.035);
  });

  inFull("rollback: the version before, with the /etc that it had; twice is as before", async () => {
    expect(await guest.json("osdeploy --json rollback")).toMatchObject({ kind: expect.any(String) });
    expect((await statusOf(guest)).rollbackQueued).toBe(true);
    await guest.output("osdeploy rollback");
    expect((await statusOf(guest)).rollbackQueued).toBe(false);
    await guest.output("osdeploy rollback");
    await guest.reboot();
    expect(await guest.booted()).toBe("running");
    expect(await releaseOf(guest)).toBe("v1");
    expect(await guest.output("cat /etc/local.conf /etc/release.conf /var/kept")).toBe("mine\nrelease=v1\nkept\n");
    const status = await statusOf(guest);
    expect(digestsByRole(status)).toMatchObject({ booted: v1, default: v1 });
    expect(status.quarantine.map(({ manifestDigest }) => manifestDigest)).toEqual([v2]);
    expect(await guest.json("osdeploy --json upgrade")).toMatchObject({ kind: "quarantined" });
  });

  test("shutdown: e2fsck finds nothing wrong", async () => {
    if (trixie === undefined) return;
    await guest.shutDown();
    expect(guest.console).not.toMatch(/FILE CORRUPTED|Kernel panic/);
    const place = join(vmPlace, `life-${loader}`);
    new OfflineDisk(trixie, join(place, "disk.qcow2"), join(place, "after.raw")).checkRoot();
    rmSync(join(place, "after.raw"));
  });
});

function entriesOf(status: GuestStatus) {
  return status.deployments.flatMap(({ bootEntries }) => bootEntries);
}

/** Bytes in the repo, and how many of them are root images, which say where files are and what they are called. */
async function repoBytes(guest: Guest): Promise<{ readonly all: number; readonly rootImages: number }> {
  const sum = "awk '{ sum += $1 } END { printf \"%.0f\", sum }'";
  const all = await guest.output(`find /sysroot/composefs -type f -printf '%s\\n' | ${sum}`);
  const rootImages = await guest.output(
    `find /sysroot/composefs/images -maxdepth 1 -type l -exec stat -Lc %s {} + | ${sum}`,
  );
  return { all: Number(all), rootImages: Number(rootImages) };
}
