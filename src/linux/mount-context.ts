import { closeSync, openSync, readSync } from "node:fs";
import { type ByteString, fromText } from "../core/bytes/byte-string.ts";
import type { OsdeployError } from "../core/errors.ts";
import { systemCallError } from "./errno.ts";
import { atWorkingDirectory, checked, lastErrno, libc, toCString } from "./libc.ts";
import type { Path } from "./linux.ts";
import { attempt, toNodePath } from "./live-call.ts";

/**
 * Numbers of the calls that build a mount piece by piece; the same on every architecture. The C library has functions
 * for them only since glibc 2.36, and musl has none.
 */
const numbers = {
  openTree: 428,
  mountSetAttributes: 442,
  moveMount: 429,
  fsopen: 430,
  fsconfig: 431,
  fsmount: 432,
} as const;

/** Commands of fsconfig(2). */
const commands = { flag: 0, string: 1, descriptor: 5, create: 6 } as const;

const closeOnExec = 1;
const readOnlyAttribute = 1;
const fromEmptyPath = 4;
const detachFlag = 2;
const cloneTree = 1;
const closeOnExecTree = 0o2000000;
const atEmptyPath = 0x1000;
/** O_PATH | O_DIRECTORY | O_CLOEXEC: a descriptor that only names a place. Node sets O_CLOEXEC itself. */
const placeFlags = 0o10000000;

const empty = fromText("");

/** One setting of a file system that is about to be mounted: a string, or an open file. */
export type MountSetting = readonly [key: string, value: ByteString | number];

/**
 * Makes a mount that is nowhere yet, read-only, and gives its descriptor; closing that unmounts what was not attached.
 *
 * `place` is only for the error.
 *
 * @throws OsdeployError for what the kernel refuses; the kernel's own words are its cause.
 * @see https://docs.kernel.org/filesystems/mount_api.html
 */
export function makeMount(type: string, settings: readonly MountSetting[], place: Path): number {
  const call = { verb: `mount ${type} from`, path: place };
  const context = Number(checked(libc().fsopen(numbers.fsopen, toCString(fromText(type)), closeOnExec), call));
  const configure = (command: number, key: string | null, value: Uint8Array | null, extra: number) => {
    const name = key === null ? null : toCString(fromText(key));
    if (libc().fsconfig(numbers.fsconfig, context, command, name, value, extra) >= 0) return;
    throw refusal(call, lastErrno(), context);
  };
  try {
    for (const [key, value] of settings) {
      if (typeof value === "number") configure(commands.descriptor, key, null, value);
      else configure(commands.string, key, toCString(value), 0);
    }
    // For the superblock, or the kernel wants to write to a loop device; fsmount's attribute is for the mount alone.
    configure(commands.flag, "ro", null, 0);
    configure(commands.create, null, null, 0);
    return Number(checked(libc().fsmount(numbers.fsmount, context, closeOnExec, readOnlyAttribute), call));
  } finally {
    closeSync(context);
  }
}

function refusal(call: { verb: string; path: Path }, errno: string, context: number): OsdeployError {
  const words = kernelMessages(context);
  return systemCallError(call, errno, words === "" ? undefined : new Error(words));
}

/** What the kernel wrote about this mount; each read gives one message, until there is none (ENODATA). */
function kernelMessages(context: number): string {
  const buffer = Buffer.alloc(4096);
  const messages: string[] = [];
  try {
    for (;;) messages.push(buffer.toString("utf8", 0, readSync(context, buffer)).trim());
  } catch {
    return messages.join("; ");
  }
}

/** Gives a mount its place. */
export function attachMount(mount: number, target: Path): void {
  const nothing = toCString(empty);
  const goal = toCString(target);
  const answer = libc().moveMount(numbers.moveMount, mount, nothing, atWorkingDirectory, goal, fromEmptyPath);
  checked(Number(answer), { verb: "mount at", path: target });
}

/** Takes the topmost mount at `target` away; what is still used of it lives on, unseen. */
export function detachMount(target: Path): void {
  checked(libc().umount2(toCString(target), detachFlag), { verb: "unmount", path: target });
}

/**
 * A copy of the mount at `path` that is nowhere, and writable; gives its descriptor, and closing that unmounts it. The
 * file system below must be writable itself.
 */
export function cloneWritable(path: Path): number {
  const call = { verb: "open for writing", path };
  const answer = libc().openTree(numbers.openTree, atWorkingDirectory, toCString(path), cloneTree | closeOnExecTree);
  const mount = checked(Number(answer), call);
  try {
    // struct mount_attr: what to set, what to clear, propagation, user namespace.
    const change = Buffer.alloc(32);
    change.writeBigUInt64LE(BigInt(readOnlyAttribute), 8);
    const nothing = toCString(empty);
    const set = libc().mountSetAttributes(
      numbers.mountSetAttributes,
      mount,
      nothing,
      atEmptyPath,
      change,
      change.length,
    );
    checked(Number(set), call);
    return mount;
  } catch (error) {
    closeSync(mount);
    throw error;
  }
}

/** A descriptor that names the directory `path`, whatever is mounted there later. */
export function openPlace(path: Path): number {
  const name = toNodePath(path);
  return attempt({ verb: "open", path }, () => openSync(name, placeFlags));
}

/** Runs `action` with a descriptor and closes that. */
export function withDescriptor<Result>(fd: number, action: (fd: number) => Result): Result {
  try {
    return action(fd);
  } finally {
    closeSync(fd);
  }
}
