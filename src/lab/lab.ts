import { fromText, toText } from "../core/bytes/byte-string.ts";
import { encodeText } from "../core/bytes/utf8.ts";
import { OsdeployError, unless } from "../core/errors.ts";
import { kindNames } from "../core/tree/kind-names.ts";
import { withOpen } from "../linux/file-content.ts";
import type { Linux, Path, StartedProgram } from "../linux/linux.ts";
import { childPath } from "../linux/path.ts";
import { removeTree } from "../linux/remove-tree.ts";
import { isMachineName, type LabPaths, labPaths, type MachinePaths, machinePaths } from "./lab-paths.ts";
import { formatMachine, formatProcess, type LabMachine, parseMachine, parseProcess } from "./machine-file.ts";

/** A few short lines. */
const fileLimitBytes = 64 * 1024;

/** A machine of the lab, as far as it can be removed, and the process that runs it. */
export interface MachineOfLab {
  readonly name: string;
  readonly paths: MachinePaths;
  /** Undefined for one that is switched off. */
  readonly running: StartedProgram | undefined;
}

/** One of which all is known. */
export interface KnownMachine extends MachineOfLab {
  readonly machine: LabMachine;
}

/** One whose `machine.json` cannot be read. */
export interface DamagedMachine extends MachineOfLab {
  readonly damage: OsdeployError;
}

/**
 * The virtual machines of a lab: a directory each. A directory without a complete `machine.json` is no machine; one that
 * a stopped `lab run` left is replaced by the next with that name.
 */
export class Lab {
  readonly linux: Linux;
  readonly paths: LabPaths;

  /** @throws OsdeployError `usage` when the path is too long; `not-found` when there is something else than a directory. */
  constructor(linux: Linux, root: Path) {
    this.linux = linux;
    this.paths = labPaths(root.startsWith("/") ? root : absolute(linux, root));
    const kind = linux.files.lstatIfExists(root)?.kind;
    if (kind === undefined || kind === "directory" || kind === "symlink") return;
    throw new OsdeployError("not-found", `Cannot use "${toText(root)}" as a lab: it is a ${kindNames[kind]}`);
  }

  /** All machines, by name, but for those that are damaged. */
  list(): readonly KnownMachine[] {
    return this.#all().filter((each) => "machine" in each);
  }

  /** Those of which nothing can be told but their names, and that cannot be started. */
  listDamaged(): readonly DamagedMachine[] {
    return this.#all().filter((each) => "damage" in each);
  }

  /** @throws OsdeployError `not-found` when there is no such machine; `bad-format` when it is damaged. */
  get(name: string): KnownMachine {
    const found = this.find(name);
    if ("machine" in found) return found;
    throw found.damage;
  }

  /** A machine, damaged or not. @throws OsdeployError `not-found` when there is none. */
  find(name: string): KnownMachine | DamagedMachine {
    const found = this.#find(name);
    if (found !== undefined) return found;
    const names = this.#all().map((each) => each.name);
    const there = names.length === 0 ? "the lab has none" : `the lab has ${names.join(", ")}`;
    throw new OsdeployError("not-found", `Cannot find machine ${name}: ${there}`);
  }

  /** @throws OsdeployError `busy` when the machine is switched off. */
  getRunning(name: string): KnownMachine & { readonly running: StartedProgram } {
    const known = this.get(name);
    if (known.running !== undefined) return { ...known, running: known.running };
    throw new OsdeployError("busy", `Cannot reach machine ${name}: it is switched off`, {
      facts: { hint: `Switch it on with osdeploy lab run --name ${name}` },
    });
  }

  /** Makes an empty directory for a new machine, in place of what a stopped attempt left. */
  prepare(name: string): MachinePaths {
    const { files } = this.linux;
    const paths = machinePaths(this.paths, name);
    if (this.#find(name) !== undefined) {
      throw new OsdeployError("already-exists", `Cannot make machine ${name}: there is one`, {
        facts: { hint: `Remove it with osdeploy lab rm ${name}` },
      });
    }
    removeTree(files, paths.root);
    this.makeDirectory(paths.root);
    return paths;
  }

  /** Makes a machine of a prepared directory. */
  add(machine: LabMachine): void {
    const { machineFile } = machinePaths(this.paths, machine.name);
    this.#write(machineFile, formatMachine(machine));
  }

  /** Remembers the process that runs a machine. */
  setRunning(paths: MachinePaths, process: StartedProgram): void {
    this.#write(paths.processFile, formatProcess(process));
  }

  /** Removes a machine that is switched off. */
  remove(paths: MachinePaths): void {
    const { files } = this.linux;
    // First what makes it a machine, so that a stop in the middle leaves none that lacks something.
    files.unlink(paths.machineFile);
    removeTree(files, paths.root);
  }

  /** Makes a directory, with those above it. Only its owner looks in: there are keys. */
  makeDirectory(path: Path): void {
    const { files } = this.linux;
    if (files.lstatIfExists(path) !== undefined) return;
    const parent = path.slice(0, path.lastIndexOf("/"));
    if (parent !== "") this.makeDirectory(parent as Path);
    // Another run may be a little faster.
    unless("already-exists", () => files.makeDirectory(path, 0o700));
  }

  /**
   * Takes the lab's lock, under which machines are built and removed, and gives what frees it.
   *
   * @throws OsdeployError `busy` when another run has it.
   */
  lock(): () => void {
    const { files } = this.linux;
    this.makeDirectory(this.paths.root);
    const fd = files.open(this.paths.root, "directory");
    if (files.lock(fd, "exclusive", { wait: false })) return () => files.close(fd);
    files.close(fd);
    const root = toText(this.paths.root);
    throw new OsdeployError("busy", `Cannot change the machines of lab ${root}: another run of osdeploy does`);
  }

  #all(): readonly (KnownMachine | DamagedMachine)[] {
    const { files } = this.linux;
    if (files.lstatIfExists(this.paths.machines) === undefined) return [];
    const names = files.readDirectory(this.paths.machines).map(toText).filter(isMachineName);
    return names.flatMap((name) => this.#find(name) ?? []);
  }

  #find(name: string): KnownMachine | DamagedMachine | undefined {
    const { files } = this.linux;
    const paths = machinePaths(this.paths, name);
    if (files.lstatIfExists(paths.machineFile) === undefined) return undefined;
    const found = { name, paths, running: this.#findProcess(paths) };
    try {
      const bytes = files.readFile(paths.machineFile, fileLimitBytes);
      // Somebody may have copied or renamed the directory.
      return { ...found, machine: { ...parseMachine(bytes, toText(paths.machineFile)), name } };
    } catch (error) {
      if (!(error instanceof OsdeployError)) throw error;
      const facts = { ...error.facts, hint: `Remove the machine with osdeploy lab rm ${name}` };
      return { ...found, damage: new OsdeployError(error.code, error.message, { facts, cause: error }) };
    }
  }

  /** A file that is not whole was cut off by a stop of this host, which no machine survives. */
  #findProcess({ processFile }: MachinePaths): StartedProgram | undefined {
    const { files, programs } = this.linux;
    if (files.lstatIfExists(processFile) === undefined) return undefined;
    return unless("bad-format", () => {
      const process = parseProcess(files.readFile(processFile, fileLimitBytes), toText(processFile));
      return programs.isRunning(process) ? process : undefined;
    });
  }

  /** Durable, and by a rename, so that nobody reads the half of it. */
  #write(path: Path, text: string): void {
    const { files } = this.linux;
    const unfinished = `${path}.new` as Path;
    if (files.lstatIfExists(unfinished) !== undefined) files.unlink(unfinished);
    withOpen(files, unfinished, "create", (fd) => {
      files.write(fd, encodeText(text));
      files.sync(fd);
      files.rename(unfinished, path);
      files.sync(fd);
    });
  }
}

/** QEMU goes on when this process, and its working directory, are gone. */
function absolute({ files }: Linux, path: Path): Path {
  return childPath(files.readLink(fromText("/proc/self/cwd")), path);
}
