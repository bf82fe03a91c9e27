import { setTimeout as pause } from "node:timers/promises";
import { fromText } from "../core/bytes/byte-string.ts";
import { decodeText } from "../core/bytes/utf8.ts";
import type { Linux, Path } from "../linux/linux.ts";
import { pathBelow } from "../linux/path.ts";
import { removeTree } from "../linux/remove-tree.ts";
import type { LabPrograms } from "./lab-programs.ts";
import { qemuWords } from "./qemu-command.ts";
import type { Acceleration, GuestArchitecture } from "./virtual-machine.ts";

/** A processor that works brings the firmware to its boot manager within a second or two. */
const probeMs = 5_000;
const stepMs = 100;

/** What the firmware's boot manager says first, on every architecture. */
const sign = "BdsDxe";

export interface ProbeOptions {
  readonly architecture: GuestArchitecture;
  readonly scratch: Path;
  readonly signal: AbortSignal;
}

/**
 * Whether KVM really works here, found out by letting the firmware start in it. `/dev/kvm` alone says little: on some
 * machines it is there and guests die in it.
 *
 * `scratch` is a directory for this alone: what a run that was killed left there goes, and so does the directory. When `signal` is
 * aborted, nothing is known.
 */
export async function probeAcceleration(
  linux: Linux,
  programs: LabPrograms,
  options: ProbeOptions,
): Promise<Acceleration> {
  const { files } = linux;
  if (files.lstatIfExists(fromText("/dev/kvm")) === undefined) return "tcg";
  removeTree(files, options.scratch);
  files.makeDirectory(options.scratch, 0o700);
  try {
    return (await startsInKvm(linux, programs, options)) ? "kvm" : "tcg";
  } finally {
    removeTree(files, options.scratch);
  }
}

async function startsInKvm(
  linux: Linux,
  programs: LabPrograms,
  { architecture, scratch, signal }: ProbeOptions,
): Promise<boolean> {
  const at = (name: string) => pathBelow(scratch, name);
  const variables = linux.files.readFile(programs.firmware.variables, 256 * 1024 * 1024);
  linux.files.writeNewFile(at("variables"), variables, 0o600);
  const words = qemuWords({
    architecture,
    acceleration: "kvm",
    qemuVersion: programs.qemuVersion,
    memoryMegabytes: 256,
    processors: 1,
    powerOn: { kind: "firmware", code: programs.firmware.code, variables: at("variables") },
    disks: [],
    network: undefined,
    serials: [{ socket: at("socket"), log: at("console") }],
    monitor: at("monitor"),
    credentials: {},
  });
  const machine = linux.programs.start([programs.qemu, ...words], { output: at("log") });
  try {
    for (let waited = 0; waited < probeMs && linux.programs.isRunning(machine); waited += stepMs) {
      // Who is impatient and ends this process with a second signal would leave the machine.
      if (signal.aborted) return false;
      if (text(linux, at("console")).includes(sign)) return true;
      if (text(linux, at("log")).includes("KVM internal error")) return false;
      await pause(stepMs);
    }
    return false;
  } finally {
    linux.programs.signal(machine, "SIGKILL");
  }
}

function text({ files }: Linux, path: Path): string {
  if (files.lstatIfExists(path) === undefined) return "";
  return decodeText(files.readFile(path, 16 * 1024 * 1024));
}
