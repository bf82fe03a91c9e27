import { toText } from "../core/bytes/byte-string.ts";
import { OsdeployError, unlessFailing } from "../core/errors.ts";
import { openStagingDirectory } from "../disk/staging-directory.ts";
import { Lab, type MachineOfLab } from "../lab/lab.ts";
import { switchOff } from "../lab/power.ts";
import type { Path } from "../linux/linux.ts";
import { pathBelow } from "../linux/path.ts";
import { withLockedLab } from "./lab-lock.ts";
import type { System } from "./system.ts";
import { warnOfLeftovers } from "./warn-of-leftovers.ts";

/** A machine as `lab list` shows it. */
export interface LabMachineStatus {
  readonly name: string;
  readonly running: boolean;
  readonly image: string;
  readonly manifestDigest: string;
  readonly sshPort: number;
  readonly memoryMegabytes: number;
  readonly processors: number;
  readonly directory: string;
}

/** All machines of the lab, by name. Of one that is damaged there is a warning: nothing else is known of it. */
export async function listLabMachines({ linux, progress }: System, path: Path): Promise<readonly LabMachineStatus[]> {
  const lab = new Lab(linux, path);
  for (const { name, damage } of lab.listDamaged()) {
    const message = `Machine ${name} is damaged, and can only be removed, with osdeploy lab rm ${name}: ${damage.message}`;
    progress({ kind: "warning", message });
  }
  return lab.list().map(({ machine, paths, running }) => ({
    name: machine.name,
    running: running !== undefined,
    image: machine.image,
    manifestDigest: machine.manifestDigest,
    sshPort: machine.sshPort,
    memoryMegabytes: machine.memoryMegabytes,
    processors: machine.processors,
    directory: toText(paths.root),
  }));
}

/** Machines by their names, and whether the plug is pulled. */
export interface LabEndRequest {
  readonly lab: Path;
  readonly names: readonly string[];
  readonly force: boolean;
}

export interface LabStopResult {
  readonly stopped: readonly string[];
  /** Those that were off already. */
  readonly wereOff: readonly string[];
}

/** Switches machines off, one after the other. */
export async function stopLabMachines(system: System, request: LabEndRequest): Promise<LabStopResult> {
  const lab = new Lab(system.linux, request.lab);
  const known = once(request.names).map((name) => lab.find(name));
  for (const machine of known) await off(system, machine, request);
  const names = (wanted: boolean) =>
    known.filter(({ running }) => (running !== undefined) === wanted).map(({ name }) => name);
  return { stopped: names(true), wereOff: names(false) };
}

function once(names: readonly string[]): readonly string[] {
  return [...new Set(names)];
}

async function off(
  { linux, signal }: System,
  { running, ...known }: MachineOfLab,
  { force }: { readonly force: boolean },
): Promise<void> {
  if (running !== undefined) await switchOff(linux, { ...known, running }, { force, signal });
}

export interface LabRemoveRequest extends LabEndRequest {
  /** Whether disks stay that no machine begins with any more, for the next machine of that image. */
  readonly keepDisks: boolean;
}

export interface LabRemoveResult {
  readonly removed: readonly string[];
  readonly removedDisks: readonly string[];
}

/** Removes machines, with all that was written in them. Those that run are switched off by force, or are an error. */
export async function removeLabMachines(system: System, request: LabRemoveRequest): Promise<LabRemoveResult> {
  const lab = new Lab(system.linux, request.lab);
  // To take the lock makes the lab: one that is not there has no machine, and stays so.
  for (const name of request.names) lab.find(name);
  return await withLockedLab(system, lab, async () => {
    const known = once(request.names).map((name) => lab.find(name));
    if (!request.force) for (const { name, running } of known) if (running !== undefined) throw runs(name);
    for (const machine of known) {
      await off(system, machine, request);
      lab.remove(machine.paths);
    }
    const removedDisks = request.keepDisks ? [] : removeUnusedDisks(system, lab);
    return { removed: known.map(({ name }) => name), removedDisks };
  });
}

function runs(name: string): OsdeployError {
  return new OsdeployError("busy", `Cannot remove machine ${name}: it runs`, {
    facts: { hint: `Switch it off with osdeploy lab stop ${name}, or remove it with --force` },
  });
}

function removeUnusedDisks(system: System, lab: Lab): readonly string[] {
  const { files } = lab.linux;
  if (files.lstatIfExists(lab.paths.disks) === undefined) return [];
  removeUnfinishedDisks(system, lab);
  // Nobody knows which one a damaged machine begins with.
  if (lab.listDamaged().length > 0) return [];
  const used = new Set(lab.list().map(({ machine }) => machine.baseDisk));
  const unused = files
    .readDirectory(lab.paths.disks)
    .map(toText)
    .filter((name) => name.endsWith(".raw") && !used.has(name));
  for (const name of unused) files.unlink(pathBelow(lab.paths.disks, name));
  return unused;
}

/** What runs have left that were killed while they made a disk: as large as one. Where no room is, the next run removes it. */
function removeUnfinishedDisks(system: System, lab: Lab): void {
  const staging = unlessFailing(() => openStagingDirectory(lab.linux, lab.paths.disks));
  if (staging !== undefined) warnOfLeftovers(system, [...staging.leftovers, ...staging.close()]);
}
