import { type ByteString, fromText } from "../../src/core/bytes/byte-string.ts";
import { OsdeployError } from "../../src/core/errors.ts";
import type { Linux, LinuxClock, LinuxFiles, LinuxMounts, LinuxPrograms, Path } from "../../src/linux/linux.ts";
import { fakeAttributes } from "./fake-attributes.ts";
import { FakeDisk, type FakeMountPoint } from "./fake-disk.ts";
import { type FaultOptions, Faults, type TraceEntry } from "./fake-faults.ts";
import type { FakeMachine } from "./fake-machine.ts";
import { fakeNames } from "./fake-names.ts";
import { fakeOpenFiles } from "./fake-open-files.ts";
import { find } from "./fake-path.ts";
import { fakePrograms } from "./fake-programs.ts";

/** The fake machine's make. */
export interface FakeLinuxOptions extends FaultOptions {
  /** Whether files can be sealed; true when not given. */
  readonly verity?: boolean;
  /** Whether files can be cloned, as on btrfs and xfs; false when not given. */
  readonly clone?: boolean;
  /** Whether two names can change places; true when not given, as on vfat since Linux 6.0. */
  readonly exchange?: boolean;
  /** Bytes the root file system holds; 1 TiB when not given. */
  readonly totalBytes?: number;
  readonly readOnly?: boolean;
  /** Further file systems; their mount points are made as needed, durable. */
  readonly mountPoints?: readonly FakeMountPoint[];
  /** Milliseconds since 1970 at the start. */
  readonly now?: number;
  /** The programs of the machine; without it there is none. */
  readonly runProgram?: LinuxPrograms["run"];
  /** Those that use the terminal; without it there is none. */
  readonly attachProgram?: (...call: Parameters<LinuxPrograms["attach"]>) => number | Promise<number>;
  /** Called when a program is started that goes on; it may throw. Without it there is no such program. */
  readonly startProgram?: (...args: Parameters<LinuxPrograms["start"]>) => void;
}

/** What survives a crash. Locks and open files never do. */
export type CrashOptions =
  /** All that was executed: the process was killed; with `reboot`, volatile file systems are empty too. */
  | { readonly keepUnsynced: true; readonly reboot?: boolean }
  /**
   * The power went: only what was synced. With `names` "lost" (when not given), directories are as they were last synced:
   * new names are gone, renames undone, removed names back. With "kept", names are as executed, but bytes never synced are
   * gone, so that such files are empty. Volatile file systems are empty.
   */
  | { readonly keepUnsynced: false; readonly names?: "lost" | "kept" };

/**
 * A machine in memory, with two memories of each file: what the kernel shows, and what the disk would still hold.
 *
 * Time stands still unless {@link advance} moves it; random names are a fixed sequence. Everything belongs to root, and
 * permissions are not enforced.
 */
export class FakeLinux implements Linux {
  readonly files: LinuxFiles;
  readonly mounts: LinuxMounts = {
    mountComposefs: refuseMount,
    unmount: refuseMount,
    // Every path can be written to, and so needs no other sight.
    openWritable: (path) => ({ path, close: () => {} }),
  };
  readonly programs: LinuxPrograms;
  readonly clock: LinuxClock;
  /** There is none to give back. */
  readonly releaseMemory = () => undefined;
  readonly #machine: FakeMachine;
  readonly #options: FakeLinuxOptions;

  constructor(options: FakeLinuxOptions = {}, disk: FakeDisk = freshDisk(options)) {
    this.#options = options;
    this.#machine = {
      disk,
      faults: new Faults(options),
      openFiles: new Map(),
      hasVerity: options.verity ?? true,
      canClone: options.clone ?? false,
      canExchange: options.exchange ?? true,
    };
    this.files = { ...fakeOpenFiles(this.#machine), ...fakeNames(this.#machine), ...fakeAttributes(this.#machine) };
    this.programs = fakePrograms(options);
    this.clock = { now: () => disk.now, randomName: () => randomName(disk) };
  }

  /** The mutating calls so far, in order, with those that failed; the length is what `failAt` counts. */
  get trace(): readonly TraceEntry[] {
    return this.#machine.faults.trace;
  }

  /** The paths that are open now: what an operation has left open when it should be empty. */
  get openPaths(): readonly Path[] {
    return [...this.#machine.openFiles.values()].map((file) => file.path);
  }

  /** Lets time pass. */
  advance(milliseconds: number): void {
    this.#machine.disk.now += milliseconds;
  }

  /** As `chattr +i`: the file, or the names in the directory, stay until somebody takes that from it. */
  protect(path: Path): void {
    const inode = find(this.#machine.disk, { verb: "protect", path }, path);
    inode.attributes = { ...inode.attributes, isProtected: true };
    if (inode.durable !== undefined) inode.durable = { ...inode.durable, attributes: inode.attributes };
  }

  /**
   * Flips a byte of a file on the disk, unseen by the kernel: reading a sealed file now fails with EIO, and its measured
   * digest stays what it was.
   */
  damage(path: Path, offset = 0): void {
    const inode = find(this.#machine.disk, { verb: "damage", path }, path);
    const bytes = inode.content.bytes.slice(0, inode.content.length);
    bytes[offset] = (bytes[offset] ?? 0) ^ 0xff;
    inode.content = { bytes, length: bytes.length };
    inode.damaged = true;
    inode.durable = { attributes: inode.attributes, content: inode.content };
  }

  /**
   * The machine after a crash at this moment, started again. This one can still be asked for other outcomes.
   *
   * Keeps the options of this one, except its fault; `faults` are those of the new one.
   */
  crash(survives: CrashOptions, faults: FaultOptions = {}): FakeLinux {
    const { failAt: _at, fault: _fault, halfWritten: _half, faultStays: _stays, ...make } = this.#options;
    const keepsVolatile = survives.keepUnsynced && survives.reboot !== true;
    return new FakeLinux({ ...make, ...faults }, this.#machine.disk.survivor(survivalOf(survives), keepsVolatile));
  }
}

function randomName(disk: FakeDisk): ByteString {
  disk.namesGiven += 1;
  // Spreads the names over all first digits, as random ones are.
  const mixed = BigInt.asUintN(64, BigInt(disk.namesGiven) * 0x9e3779b97f4a7c15n);
  return fromText(mixed.toString(16).padStart(16, "0"));
}

function freshDisk(options: FakeLinuxOptions): FakeDisk {
  const root: FakeMountPoint = {
    path: "/",
    ...(options.totalBytes === undefined ? {} : { totalBytes: options.totalBytes }),
    ...(options.readOnly === undefined ? {} : { readOnly: options.readOnly }),
  };
  return new FakeDisk([root, ...(options.mountPoints ?? [])], options.now ?? 1_700_000_000_000);
}

function survivalOf(survives: CrashOptions): Parameters<FakeDisk["survivor"]>[0] {
  if (survives.keepUnsynced) return "all";
  return survives.names === "kept" ? "synced-bytes-all-names" : "synced";
}

function refuseMount(): never {
  throw new OsdeployError("unsupported", "Cannot mount or unmount: this machine is a fake without mounts");
}

export { type Fault, type FaultOptions, SimulatedCrash, type TraceEntry } from "./fake-faults.ts";
