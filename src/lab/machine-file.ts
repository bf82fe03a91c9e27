import { parseDocument } from "../core/oci/json.ts";
import { badPlace, type JsonPlace, member, safeSizeOf, textOf } from "../core/oci/json-place.ts";
import type { StartedProgram } from "../linux/linux.ts";
import type { GuestArchitecture } from "./virtual-machine.ts";

/** What the lab remembers of a machine. */
export interface LabMachine {
  readonly name: string;
  /** The image that its disk was made from, as the user named it. */
  readonly image: string;
  readonly manifestDigest: string;
  /** The file in the lab's `disks` that its own disk begins with. */
  readonly baseDisk: string;
  readonly architecture: GuestArchitecture;
  readonly memoryMegabytes: number;
  readonly processors: number;
  /** The port of this machine's loopback that leads to the guest's ssh. */
  readonly sshPort: number;
  /** The port on which images are offered to the guest; the same for all of its life, because its origin names it. */
  readonly registryPort: number;
}

/** The text of `machine.json`. */
export function formatMachine(machine: LabMachine): string {
  return `${JSON.stringify(machine, undefined, 2)}\n`;
}

/** @throws OsdeployError `bad-format` for anything that {@link formatMachine} would not write. */
export function parseMachine(bytes: Uint8Array, file: string): LabMachine {
  const place = parseDocument(bytes, file);
  const text = (key: string) => textOf(member(place, key));
  const size = (key: string) => safeSizeOf(member(place, key));
  return {
    name: text("name"),
    image: text("image"),
    manifestDigest: text("manifestDigest"),
    baseDisk: text("baseDisk"),
    architecture: architectureOf(member(place, "architecture")),
    memoryMegabytes: size("memoryMegabytes"),
    processors: size("processors"),
    sshPort: size("sshPort"),
    registryPort: size("registryPort"),
  };
}

function architectureOf(place: JsonPlace): GuestArchitecture {
  const { value } = place;
  if (value !== "x86_64" && value !== "aarch64") throw badPlace(place, "is not an architecture of the lab");
  return value;
}

/** The text of `process.json`. */
export function formatProcess({ pid, startTicks }: StartedProgram): string {
  return `${JSON.stringify({ pid, startTicks })}\n`;
}

/** @throws OsdeployError `bad-format` for anything that {@link formatProcess} would not write. */
export function parseProcess(bytes: Uint8Array, file: string): StartedProgram {
  const place = parseDocument(bytes, file);
  return { pid: safeSizeOf(member(place, "pid")), startTicks: safeSizeOf(member(place, "startTicks")) };
}
