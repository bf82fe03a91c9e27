import { toText } from "../core/bytes/byte-string.ts";
import { OsdeployError, unlessFailing } from "../core/errors.ts";
import { formatPlatform, platformOfMachine } from "../core/oci/platform.ts";
import { formatImageReference } from "../core/oci/reference.ts";
import { probeAcceleration } from "../lab/acceleration.ts";
import { type KnownMachine, Lab } from "../lab/lab.ts";
import { findLabPrograms, type LabPrograms } from "../lab/lab-programs.ts";
import type { LabMachine } from "../lab/machine-file.ts";
import { labVirtualMachine, switchOn } from "../lab/power.ts";
import { freePort, isFreePort } from "../lab/ssh.ts";
import { type Acceleration, guestArchitecture, guestKernelArguments } from "../lab/virtual-machine.ts";
import { copyContent } from "../linux/file-content.ts";
import type { Path } from "../linux/linux.ts";
import { pathBelow } from "../linux/path.ts";
import { ensureLabDisk, type LabDiskRequest, runOrTell } from "./lab-disk.ts";
import { withLockedLab } from "./lab-lock.ts";
import { checkInterrupted, type System } from "./system.ts";

/** Where the lab is, and what it runs on. */
export interface LabPlace {
  readonly lab: Path;
  /** Where shared data lies, as in XDG_DATA_DIRS: the firmware is looked for there. */
  readonly dataDirectories: readonly string[];
  /** This machine's architecture, in Node's words. */
  readonly architecture: string;
}

/** A machine to be made. */
export interface LabRunRequest extends LabPlace, LabDiskRequest {
  /** Made from the image's name when undefined. */
  readonly name: string | undefined;
  readonly memoryBytes: number;
  readonly processors: number;
}

export interface LabRunResult {
  readonly name: string;
  readonly image: string;
  readonly acceleration: Acceleration;
  readonly sshPort: number;
  readonly consoleLog: string;
  /** Whether its disk, or the one that its disk begins with, was there before. */
  readonly diskReused: boolean;
}

/** Makes a machine that boots the image, and switches it on. */
export async function runLabMachine(system: System, request: LabRunRequest): Promise<LabRunResult> {
  const lab = new Lab(system.linux, request.lab);
  const host = findHost(system, request);
  checkPlatform(request);
  return await withLockedLab(system, lab, async () => {
    const acceleration = await probe(system, lab, host);
    const name = request.name ?? freeName(lab, nameOf(request));
    const paths = lab.prepare(name);
    const guest = { architecture: host.architecture, acceleration };
    const kernelArguments = [...guestKernelArguments(guest), ...request.kernelArguments];
    const disk = await ensureLabDisk(system, lab, { ...request, kernelArguments });
    makeOverlay(system, pathBelow(lab.paths.disks, disk.name), paths.disk);
    copyContent(system.linux.files, { kind: "file", path: host.programs.firmware.variables }, paths.variables);
    checkInterrupted(system.signal);
    const sshPort = await freePort(portsOf(lab));
    const machine: LabMachine = {
      name,
      image: formatImageReference(request.image),
      manifestDigest: disk.manifestDigest,
      baseDisk: disk.name,
      architecture: host.architecture,
      memoryMegabytes: Math.ceil(request.memoryBytes / 2 ** 20),
      processors: request.processors,
      sshPort,
      registryPort: await freePort(new Set([sshPort, ...portsOf(lab)])),
    };
    lab.add(machine);
    const known = { name: machine.name, machine, paths, running: undefined };
    try {
      return await start(lab, { known, host, acceleration, reused: disk.reused });
    } catch (error) {
      // What never ran is no machine: the next attempt, with less memory perhaps, finds its name free.
      unlessFailing(() => lab.remove(paths));
      throw error;
    }
  });
}

/** The machine gets this one's processor, whatever the image is for. */
function checkPlatform({ platform, architecture }: LabRunRequest): void {
  const own = platformOfMachine(architecture);
  if (platform.os === own.os && platform.architecture === own.architecture) return;
  const [image, lab] = [formatPlatform(platform), formatPlatform(own)];
  throw new OsdeployError("unsupported", `Cannot run an image for ${image} here: machines of the lab are ${lab}`);
}

/** Switches a machine on that is there. */
export async function startLabMachine(
  system: System,
  request: LabPlace & { readonly name: string },
): Promise<LabRunResult> {
  const lab = new Lab(system.linux, request.lab);
  // To take the lock makes the lab: one that is not there has no machine, and stays so.
  lab.get(request.name);
  const host = findHost(system, request);
  return await withLockedLab(system, lab, async () => {
    const known = lab.get(request.name);
    if (known.running !== undefined) {
      throw new OsdeployError("busy", `Cannot switch machine ${request.name} on: it runs`);
    }
    const acceleration = await probe(system, lab, host);
    return await start(lab, { known: await withFreePort(lab, known), host, acceleration, reused: true });
  });
}

/** Machines that are off need their ports again: all of them count. */
function portsOf(lab: Lab): ReadonlySet<number> {
  return new Set(lab.list().flatMap(({ machine }) => [machine.sshPort, machine.registryPort]));
}

/** The machine, with another port for ssh where somebody took that one while it was off. */
async function withFreePort(lab: Lab, known: KnownMachine): Promise<KnownMachine> {
  if (await isFreePort(known.machine.sshPort)) return known;
  const machine = { ...known.machine, sshPort: await freePort(portsOf(lab)) };
  lab.add(machine);
  return { ...known, machine };
}

interface LabHost {
  readonly architecture: LabMachine["architecture"];
  readonly programs: LabPrograms;
}

function findHost({ linux }: System, place: LabPlace): LabHost {
  const architecture = guestArchitecture(place.architecture);
  return { architecture, programs: findLabPrograms(linux, architecture, place.dataDirectories) };
}

async function probe({ linux, signal }: System, lab: Lab, { architecture, programs }: LabHost): Promise<Acceleration> {
  const { scratch } = lab.paths;
  const acceleration = await probeAcceleration(linux, programs, { architecture, scratch, signal });
  checkInterrupted(signal);
  return acceleration;
}

/** An image's name as a machine can have it: `oci:images/debian:v2` gives `debian-v2`. */
function nameOf({ image }: LabRunRequest): string {
  const [plain = ""] = formatImageReference(image).split("@");
  const last = plain.slice(plain.lastIndexOf("/") + 1).toLowerCase();
  const words = last.split(/[^a-z0-9]+/).filter((word) => word !== "" && word !== "latest");
  return words.join("-").slice(0, 24).replace(/-$/, "") || "machine";
}

function freeName(lab: Lab, wanted: string): string {
  const taken = new Set([...lab.list(), ...lab.listDamaged()].map((each) => each.name));
  let name = wanted;
  for (let count = 2; taken.has(name); count++) name = `${wanted}-${count}`;
  return name;
}

function makeOverlay({ linux }: System, base: Path, overlay: Path): void {
  const words = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", toText(base), toText(overlay)] as const;
  const { status, stderr } = runOrTell(linux, words, "qemu-utils");
  if (status !== 0) throw new OsdeployError("system", `Cannot make the machine's disk: ${stderr.trim()}`);
}

async function start(
  lab: Lab,
  what: {
    readonly known: KnownMachine;
    readonly host: LabHost;
    readonly acceleration: Acceleration;
    readonly reused: boolean;
  },
): Promise<LabRunResult> {
  const { machine, paths } = what.known;
  const { programs } = what.host;
  const { acceleration } = what;
  const virtual = labVirtualMachine(machine, paths, { programs, acceleration });
  await switchOn(lab, paths, { qemu: programs.qemu, machine: virtual });
  const { name, image, sshPort } = machine;
  return { name, image, acceleration, sshPort, consoleLog: toText(paths.consoleLog), diskReused: what.reused };
}
