import { fromText, toText } from "../core/bytes/byte-string.ts";
import { OsdeployError } from "../core/errors.ts";
import type { Path } from "../linux/linux.ts";
import { pathBelow } from "../linux/path.ts";

/** Where the lab keeps what. */
export interface LabPaths {
  readonly root: Path;
  /** A directory for each machine. */
  readonly machines: Path;
  /** Disks of images as they were installed; machines only have what differs from them. */
  readonly disks: Path;
  /** The private key that all machines let in; the public one has `.pub` behind it. */
  readonly sshKey: Path;
  /** For what is gone when the command ends. */
  readonly scratch: Path;
}

/** The files of one machine. */
export interface MachinePaths {
  readonly root: Path;
  readonly machineFile: Path;
  /** Which process it is, or was. */
  readonly processFile: Path;
  readonly disk: Path;
  readonly variables: Path;
  readonly consoleSocket: Path;
  readonly consoleLog: Path;
  readonly monitorSocket: Path;
  readonly qemuLog: Path;
}

/** A socket's path has at most 107 bytes (unix(7)); what comes after the lab's own path takes up to 57. */
const rootLimitBytes = 50;
const nameLimit = 32;

/** @throws OsdeployError `usage` when the path is too long for the sockets in it. */
export function labPaths(root: Path): LabPaths {
  if (root.length > rootLimitBytes) {
    throw new OsdeployError(
      "usage",
      `Cannot keep a lab in ${toText(root)}: with more than ${rootLimitBytes} bytes, the paths of its sockets would be too long`,
      { facts: { hint: "Name a shorter one with --lab DIR" } },
    );
  }
  const at = (name: string) => pathBelow(root, name);
  return { root, machines: at("machines"), disks: at("disks"), sshKey: at("ssh-key"), scratch: at("scratch") };
}

/** Whether a machine can have this name. */
export function isMachineName(name: string): boolean {
  return /^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/.test(name) && name.length <= nameLimit;
}

/** @throws OsdeployError `usage` for a name that no machine can have. */
export function machinePaths(lab: LabPaths, name: string): MachinePaths {
  if (!isMachineName(name)) {
    throw new OsdeployError(
      "usage",
      `Cannot name a machine "${name}": a name has up to ${nameLimit} letters a to z, digits, and dashes in between`,
    );
  }
  const root = pathBelow(lab.machines, fromText(name));
  const at = (file: string) => pathBelow(root, file);
  return {
    root,
    machineFile: at("machine.json"),
    processFile: at("process.json"),
    disk: at("disk.qcow2"),
    variables: at("variables.fd"),
    consoleSocket: at("console.socket"),
    consoleLog: at("console.log"),
    monitorSocket: at("qmp.socket"),
    qemuLog: at("qemu.log"),
  };
}
