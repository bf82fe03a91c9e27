import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { BootloaderKind } from "../../src/bootloader/bootloader.ts";
import { openBootloader } from "../../src/bootloader/open-bootloader.ts";
import { fromText } from "../../src/core/bytes/byte-string.ts";
import { checkInvariants } from "../../src/core/deployment/invariants.ts";
import { bootComplete } from "../../src/operations/boot-complete.ts";
import { checkRepo } from "../../src/operations/check-repo.ts";
import { collectDeployments } from "../../src/operations/collect-deployments.ts";
import { finalizeStaged } from "../../src/operations/finalize-staged.ts";
import { rollback } from "../../src/operations/rollback.ts";
import { type StatusResult, status } from "../../src/operations/status.ts";
import { type UpgradeResult, upgrade } from "../../src/operations/upgrade.ts";
import { freezeDisk, thawDisk } from "../builders/frozen-machine.ts";
import { readOciArchive } from "../builders/oci-archive.ts";
import type { BuiltImage } from "../builders/oci-image.ts";
import { layoutPath, linuxAmd64, noLogin, systemOn } from "../builders/operation-machine.ts";
import { placeLayout } from "../builders/os-images.ts";
import {
  boot,
  physicalRoot,
  readText,
  replaceLayout,
  runningMachine,
  writeProc,
  writeText,
} from "../builders/running-machine.ts";
import { takeSnapshot } from "../builders/system-snapshot.ts";
import { FakeLinux } from "../fakes/fake-linux.ts";

const place = join(import.meta.dirname, "../vectors/layouts");
const { OSDEPLOY_WRITE_LAYOUT } = process.env;
const loaders: readonly BootloaderKind[] = ["systemd-boot", "grub"];
const sysroot = { sysroot: physicalRoot };

/** As they were built then: what gzip makes of the same tar differs with Node's zlib, and so would the digests. */
const images = await readOciArchive(readFileSync(join(place, "images.tar")));
const v1 = imageOf("v1");
const v2 = imageOf("v2");
const v3 = imageOf("v3");
const v4 = imageOf("v4");

function imageOf(tag: string): BuiltImage {
  const image = images.get(tag);
  if (image === undefined) throw new Error(`images.tar has no ${tag}`);
  return image;
}

async function upgradeTo(linux: FakeLinux, image: BuiltImage): Promise<UpgradeResult> {
  replaceLayout(linux, { latest: image });
  const options = { platform: linuxAmd64, source: noLogin, apply: false, ignoreQuarantine: false };
  return await upgrade(systemOn(linux), { ...sysroot, ...options });
}

/** What shutdown, firmware, loader and a good boot do. */
async function reboot(linux: FakeLinux): Promise<void> {
  await finalizeStaged(systemOn(linux), sysroot);
  boot(linux);
  await bootComplete(systemOn(linux), sysroot);
}

/** The story of `test/vectors/layouts/README.md`. */
async function tellStory(bootloader: BootloaderKind): Promise<FakeLinux> {
  const linux = await runningMachine({ latest: v1 }, "latest", { bootloader });
  await bootComplete(systemOn(linux), sysroot);
  const { booted } = await status(systemOn(linux), sysroot);
  writeText(linux, `/sysroot/state/deploy/${booted}/etc/local.conf`, "mine\n");
  await upgradeTo(linux, v2);
  await reboot(linux);
  await upgradeTo(linux, v3);
  await finalizeStaged(systemOn(linux), sysroot);
  failThreeTimes(linux);
  await reboot(linux);
  return linux;
}

/** GRUB counts in its own code, which nobody runs here: what it leaves is the same as when an entry is given up. */
function failThreeTimes(linux: FakeLinux): void {
  const loader = openBootloader(linux.files, { boot: fromText("/boot") });
  const [newest] = loader.readMenu().entries;
  if (loader.kind === "grub" && newest !== undefined) loader.giveUp(newest);
  else for (let times = 0; times < 3; times++) boot(linux);
}

if (OSDEPLOY_WRITE_LAYOUT !== undefined) {
  mkdirSync(place, { recursive: true });
  for (const loader of loaders) {
    const frozen = await freezeDisk(await tellStory(loader));
    writeFileSync(join(place, `${OSDEPLOY_WRITE_LAYOUT}-${loader}.tar.gz`), frozen, { flag: "wx" });
  }
}

/** A machine that has booted a disk of the vectors. */
async function machineOf(file: string): Promise<FakeLinux> {
  const linux = new FakeLinux({
    now: Date.UTC(2030, 0, 1),
    mountPoints: [{ path: "/sysroot" }, { path: "/boot" }, { path: "/run", volatile: true }],
  });
  await thawDisk(linux, readFileSync(join(place, file)));
  placeLayout(linux.files, layoutPath, { latest: v2 });
  writeProc(linux, "composefs:none", "");
  boot(linux);
  return linux;
}

function digests({ deployments }: StatusResult): Readonly<Record<string, string | null>> {
  return Object.fromEntries(
    deployments.flatMap(({ roles, manifestDigest }) => roles.map((role) => [role, manifestDigest])),
  );
}

const frozen = readdirSync(place).filter((name) => name.endsWith(".tar.gz"));

test("layouts: there is a disk of the first one for each loader", () => {
  expect(frozen).toEqual(expect.arrayContaining(loaders.map((loader) => `1-${loader}.tar.gz`)));
});

describe.each(frozen)("a disk that an earlier osdeploy wrote, %s", (file) => {
  test("status: what is there and what happened is understood", async () => {
    const linux = await machineOf(file);
    const result = await status(systemOn(linux), sysroot);
    expect(digests(result)).toMatchObject({
      booted: v2.manifestDigest,
      default: v2.manifestDigest,
      rollback: v1.manifestDigest,
    });
    expect(result).toMatchObject({ staged: null, problems: [], foreignBootEntries: [], countsTries: true });
    expect(result.quarantine).toMatchObject([{ manifestDigest: v3.manifestDigest, cause: "boot-failed" }]);
    expect(file).toContain(result.bootloader);
    const fsck = await checkRepo(systemOn(linux), { repo: fromText("/sysroot/composefs"), metadataOnly: false });
    expect(fsck.problems.filter(({ severity }) => severity === "error")).toEqual([]);
    expect(checkInvariants(takeSnapshot(linux, physicalRoot))).toEqual([]);
  });

  test("upgrade: passes over what is in quarantine, and brings the next; edits of /etc come along", async () => {
    const linux = await machineOf(file);
    expect(await upgradeTo(linux, v3)).toMatchObject({ kind: "quarantined", manifestDigest: v3.manifestDigest });
    expect(await upgradeTo(linux, v4)).toMatchObject({ kind: "staged" });
    await reboot(linux);
    const after = await status(systemOn(linux), sysroot);
    expect(digests(after)).toMatchObject({
      booted: v4.manifestDigest,
      default: v4.manifestDigest,
      rollback: v2.manifestDigest,
    });
    expect(readText(linux, `/sysroot/state/deploy/${after.booted}/etc/local.conf`)).toBe("mine\n");
    expect(readText(linux, `/sysroot/state/deploy/${after.booted}/etc/motd`)).toContain("welcome to v4");
    expect(checkInvariants(takeSnapshot(linux, physicalRoot))).toEqual([]);
  });

  test("rollback: the way back of then is still one", async () => {
    const linux = await machineOf(file);
    await rollback(systemOn(linux), { ...sysroot, apply: false });
    await reboot(linux);
    const after = await status(systemOn(linux), sysroot);
    expect(digests(after)).toMatchObject({ booted: v1.manifestDigest, default: v1.manifestDigest });
    expect(readText(linux, `/sysroot/state/deploy/${after.booted}/etc/local.conf`)).toBe("mine\n");
  });

  test("gc: removes what is not needed, and nothing that is", async () => {
    const linux = await machineOf(file);
    await upgradeTo(linux, v4);
    await reboot(linux);
    await collectDeployments(systemOn(linux), { ...sysroot, keep: 0, dryRun: false, whenNeeded: false });
    const after = await status(systemOn(linux), sysroot);
    expect(after.deployments).toHaveLength(2);
    expect(digests(after)).toMatchObject({ booted: v4.manifestDigest, rollback: v2.manifestDigest });
    expect(checkInvariants(takeSnapshot(linux, physicalRoot))).toEqual([]);
  });
});
