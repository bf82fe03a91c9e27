import { fromText, toBytes } from "../../src/core/bytes/byte-string.ts";
import { OsdeployError } from "../../src/core/errors.ts";
import { Lab } from "../../src/lab/lab.ts";
import type { LabMachine } from "../../src/lab/machine-file.ts";
import type { LinuxPrograms, Path, ProgramResult } from "../../src/linux/linux.ts";
import { FakeLinux, type FakeLinuxOptions } from "../fakes/fake-linux.ts";

/** Where the lab of these tests is. */
export const labPath: Path = fromText("/lab");

/** A machine of a lab. */
export const someMachine: LabMachine = {
  name: "one",
  image: "oci:/layout:v1",
  manifestDigest: `sha256:${"1".repeat(64)}`,
  baseDisk: "base.raw",
  architecture: "x86_64",
  memoryMegabytes: 2048,
  processors: 2,
  sshPort: 2022,
  registryPort: 5022,
};

/** The programs of a machine that a lab can be on, by their names; each gives what it prints. */
export type FakePrograms = Readonly<Record<string, (words: readonly string[]) => Partial<ProgramResult> | undefined>>;

/** Programs that say they are there, as `findLabPrograms` asks. */
export const labPrograms: FakePrograms = {
  "qemu-system-x86_64": () => ({ stdout: text("QEMU emulator version 10.0.2 (Debian)\n") }),
  "qemu-img": () => ({}),
  ssh: () => ({}),
};

function text(value: string): Uint8Array {
  return new TextEncoder().encode(value);
}

/** `linux.programs.run` of a machine with just these programs. */
export function runOf(programs: FakePrograms): LinuxPrograms["run"] {
  return (words) => {
    const program = programs[words[0]];
    if (program === undefined) throw new OsdeployError("not-found", `Cannot run ${words[0]}: there is no such program`);
    return { status: 0, stdout: new Uint8Array(), stderr: "", ...program(words) };
  };
}

/** A fake machine with the firmware of virtual ones. */
export function labLinux(options: FakeLinuxOptions = {}): FakeLinux {
  const linux = new FakeLinux({ runProgram: runOf(labPrograms), ...options });
  const { files } = linux;
  for (const path of ["/usr", "/usr/share", "/usr/share/OVMF"]) files.makeDirectory(fromText(path), 0o755);
  for (const name of ["OVMF_CODE_4M.fd", "OVMF_VARS_4M.fd"]) place(linux, `/usr/share/OVMF/${name}`, name);
  return linux;
}

/** Writes a file. */
export function place(linux: FakeLinux, path: string, content: string): void {
  linux.files.writeNewFile(fromText(path), toBytes(fromText(content)), 0o600);
}

/** Puts a machine into the lab of a fake machine. */
export function addMachine(linux: FakeLinux, changes: Partial<LabMachine> = {}, root = labPath): Lab {
  const lab = new Lab(linux, root);
  const machine = { ...someMachine, ...changes };
  lab.prepare(machine.name);
  lab.add(machine);
  return lab;
}
