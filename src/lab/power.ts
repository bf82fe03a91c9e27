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

/**
 * Switches a machine off: by its power button, or with `force` by its plug.
 *
 * @throws OsdeployError `busy` when the guest does not react.
 */
export async function switchOff(
  linux: Linux,
  { name, paths, running }: MachineOfLab & { readonly running: StartedProgram },
  { force }: { readonly force: boolean },
): Promise<void> {
  if (force) linux.programs.signal(running, "SIGKILL");
  else await monitorCommand(paths.monitorSocket, "system_powerdown");
  for (let waited = 0; waited < shutdownMs; waited += stepMs) {
    if (!linux.programs.isRunning(running)) return;
    await pause(stepMs);
  }
  throw new OsdeployError("busy", `Cannot switch machine ${name} off: it did not react within ${shutdownMs / 1000} s`, {
    facts: { hint: `Cut its power with osdeploy lab stop --force ${name}` },
  });
}
