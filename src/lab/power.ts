import { setTimeout as pause } from "node:timers/promises";
import { decodeText } from "../core/bytes/utf8.ts";
import { OsdeployError } from "../core/errors.ts";
import { withOpen } from "../linux/file-content.ts";
import type { Linux, LinuxFiles, Path, StartedProgram } from "../linux/linux.ts";
import type { Lab, MachineOfLab } from "./lab.ts";
import type { MachinePaths } from "./lab-paths.ts";
import type { LabPrograms } from "./lab-programs.ts";
import type { LabMachine } from "./machine-file.ts";
import { monitorCommand } from "./monitor.ts";
import { qemuWords } from "./qemu-command.ts";
import type { Acceleration, VirtualMachine } from "./virtual-machine.ts";

/** The ssh server's port in the guest. */
const sshGuestPort = 22;

/** What QEMU has to know of a machine of the lab. */
export function labVirtualMachine(
  machine: LabMachine,
  paths: MachinePaths,
  { programs, acceleration }: { readonly programs: LabPrograms; readonly acceleration: Acceleration },
): VirtualMachine {
  return {
    architecture: machine.architecture,
    acceleration,
    qemuVersion: programs.qemuVersion,
    memoryMegabytes: machine.memoryMegabytes,
    processors: machine.processors,
    powerOn: { kind: "firmware", code: programs.firmware.code, variables: paths.variables },
    disks: [{ file: paths.disk, format: "qcow2" }],
    network: { forwards: [{ host: machine.sshPort, guest: sshGuestPort }] },
    serials: [{ socket: paths.consoleSocket, log: paths.consoleLog }],
    monitor: paths.monitorSocket,
    credentials: {},
  };
}

/** QEMU checks its words and opens its files in this time; what it does not like, it says and ends. */
const startMs = 500;
const stepMs = 50;

/**
 * Switches a machine on, and remembers its process.
 *
 * @throws OsdeployError `system` with QEMU's own words when it does not start.
 */
export async function switchOn(
  lab: Lab,
  paths: MachinePaths,
  { qemu, machine }: { readonly qemu: string; readonly machine: VirtualMachine },
): Promise<StartedProgram> {
  const { files, programs } = lab.linux;
  const saidBefore = files.lstatIfExists(paths.qemuLog)?.sizeBytes ?? 0;
  const process = programs.start([qemu, ...qemuWords(machine)], { output: paths.qemuLog });
  try {
    lab.setRunning(paths, process);
  } catch (error) {
    // Nobody would know of it, nor could switch it off.
    programs.signal(process, "SIGKILL");
    throw error;
  }
  for (let waited = 0; waited < startMs; waited += stepMs) {
    await pause(stepMs);
    if (!programs.isRunning(process)) {
      const said = saidSince(files, paths.qemuLog, saidBefore);
      const why = said.slice(said.lastIndexOf("\n") + 1) || "QEMU ended and said nothing";
      throw new OsdeployError("system", `Cannot switch the machine on: ${why}`, { facts: { said } });
    }
  }
  return process;
}

/** More than QEMU says when it ends at once. */
const saidLimitBytes = 64 * 1024;

function saidSince(files: LinuxFiles, log: Path, position: number): string {
  const bytes = new Uint8Array(saidLimitBytes);
  const count = withOpen(files, log, "read", (fd) =>
    files.read(fd, bytes, { offset: 0, length: bytes.length, position }),
  );
  return decodeText(bytes.subarray(0, count)).trimEnd();
}

/** A guest that shuts down merges its /etc, stops its services, and may be translated: that takes its time. */
const shutdownMs = 300_000;

/** A guest that is not up yet hears no button, so it is pressed again; one that goes down already does not mind. */
const pressMs = 5_000;

/**
 * Switches a machine off: by its power button, or with `force` by its plug.
 *
 * @throws OsdeployError `busy` when the guest does not react; `interrupted`.
 */
export async function switchOff(
  { programs }: Linux,
  { name, paths, running }: MachineOfLab & { readonly running: StartedProgram },
  { force, signal }: { readonly force: boolean; readonly signal: AbortSignal },
): Promise<void> {
  if (force) programs.signal(running, "SIGKILL");
  for (let waited = 0; waited < shutdownMs; waited += stepMs) {
    const failure = !force && waited % pressMs === 0 ? await pressButton(paths) : undefined;
    if (!programs.isRunning(running)) return;
    // Later it may be about to end.
    if (failure !== undefined && waited === 0) throw failure;
    if (signal.aborted) throw new OsdeployError("interrupted", `Stopped waiting for the end of machine ${name}`);
    await pause(stepMs);
  }
  throw new OsdeployError("busy", `Cannot switch machine ${name} off: it did not react within ${shutdownMs / 1000} s`, {
    facts: { hint: `Cut its power with osdeploy lab stop --force ${name}` },
  });
}

/** Gives what kept it from being pressed. */
async function pressButton({ monitorSocket }: MachinePaths): Promise<unknown> {
  try {
    await monitorCommand(monitorSocket, "system_powerdown");
    return undefined;
  } catch (error) {
    return error;
  }
}
