import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { Guest, type GuestMake } from "./guest-machine.ts";
import type { GuestRegistry } from "./guest-registry.ts";
import {
  baseDisk,
  guestRegistry,
  installBaseDisk,
  onceARun,
  overlayDisk,
  type TestLoader,
  vmPlace,
} from "./os-disk.ts";
import type { Trixie } from "./trixie.ts";

/** What `osdeploy status --json` says, as far as these tests look at it. */
export interface GuestStatus {
  readonly bootloader: string;
  readonly countsTries: boolean;
  readonly booted: string | null;
  readonly rollbackQueued: boolean;
  readonly staged: { readonly rootImage: string } | null;
  readonly deployments: readonly {
    readonly roles: readonly string[];
    readonly manifestDigest: string | null;
    readonly rootImage: string;
    readonly verity: string | null;
    readonly bootEntries: readonly {
      readonly name: string;
      readonly triesLeft: number | null;
      readonly booted: boolean;
    }[];
    readonly quarantineReason: string | null;
  }[];
  readonly quarantine: readonly { readonly manifestDigest: string; readonly reason: string }[];
  readonly problems: readonly string[];
}

/** The manifest digests of the deployments by their roles. */
export function digestsByRole(status: GuestStatus): Readonly<Record<string, string | null>> {
  return Object.fromEntries(
    status.deployments.flatMap(({ roles, manifestDigest }) => roles.map((role) => [role, manifestDigest])),
  );
}

/** A machine that boots an installed OS image; a directory of that name keeps its files. */
export function newGuest(
  trixie: Trixie,
  name: string,
  { base = baseDisk("systemd-boot"), ...more }: { readonly base?: string } & Partial<GuestMake> = {},
): Guest {
  const place = join(vmPlace, name);
  rmSync(place, { recursive: true, force: true });
  mkdirSync(place, { recursive: true });
  return new Guest({ trixie, place, disks: [overlayDisk(trixie, base, join(place, "disk.qcow2"))], ...more });
}

/** The same with GRUB or systemd-boot. */
export function newGuestOf(trixie: Trixie, name: string, loader: TestLoader): Guest {
  return newGuest(trixie, name, { base: baseDisk(loader) });
}

const bootedPlace = join(vmPlace, "booted");
const snapshot = { place: join(vmPlace, "booted-snapshot") };

/**
 * A guest that has just booted v1 through systemd-boot and uses this registry: it goes on from the state of one that did,
 * in a second or two.
 */
export async function bootedGuest(trixie: Trixie, name: string, registry: GuestRegistry): Promise<Guest> {
  await onceARun("booted", () => bootForSnapshot(trixie));
  const guest = newGuest(trixie, name, { base: join(bootedPlace, "disk.qcow2") });
  await guest.resume(snapshot);
  await useRegistry(guest, registry);
  return guest;
}

async function bootForSnapshot(trixie: Trixie): Promise<void> {
  await installBaseDisk("systemd-boot");
  const guest = newGuest(trixie, "booted");
  guest.switchOn();
  await guest.booted();
  // Warms what each command of osdeploy reads.
  await statusOf(guest);
  await guest.output("sync");
  await guest.save(snapshot);
}

/** Tells a guest where the registry of the test is, and that it speaks no TLS. */
export async function useRegistry(guest: Guest, { port }: { readonly port: number }): Promise<void> {
  const lines = ["[[registry]]", `prefix = "${guestRegistry}"`, `location = "10.0.2.2:${port}"`, "insecure = true"];
  const file = "/etc/containers/registries.conf";
  await guest.output(
    `mkdir -p /etc/containers && printf '%s\\n' ${lines.map((line) => `'${line}'`).join(" ")} >${file} && sync`,
  );
}

/** `osdeploy status`. */
export async function statusOf(guest: Guest): Promise<GuestStatus> {
  return (await guest.json("osdeploy --json status")) as GuestStatus;
}

/** Which release of the image runs, by its own words. */
export async function releaseOf(guest: Guest): Promise<string> {
  return (await guest.output("sed -n 's/^IMAGE_VERSION=//p' /usr/lib/os-release")).trim();
}
