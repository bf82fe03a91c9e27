import { fromText } from "../../src/core/bytes/byte-string.ts";
import { type FailedCall, systemCallError } from "../../src/linux/errno.ts";
import type { Fd, Path } from "../../src/linux/linux.ts";
import type { FakeDisk } from "./fake-disk.ts";
import type { Faults } from "./fake-faults.ts";
import type { FakeInode } from "./fake-inode.ts";

/** An open file: what a descriptor stands for. */
export interface FakeOpenFile {
  readonly inode: FakeInode;
  readonly path: Path;
  readonly readable: boolean;
  readonly writable: boolean;
  position: number;
  lock: "shared" | "exclusive" | undefined;
}

/** What the calls of the fake work on. */
export interface FakeMachine {
  readonly disk: FakeDisk;
  readonly faults: Faults;
  readonly openFiles: Map<Fd, FakeOpenFile>;
  readonly hasVerity: boolean;
  readonly canClone: boolean;
  readonly canExchange: boolean;
}

/** The open file behind `fd`; EBADF when there is none. */
export function openFileOf(machine: FakeMachine, verb: string, fd: Fd): FakeOpenFile {
  machine.faults.alive();
  const file = machine.openFiles.get(fd);
  if (file === undefined) throw systemCallError({ verb, path: fromText(`file descriptor ${fd}`) }, "EBADF");
  return file;
}

/** Makes sure that the file system has room for `moreBytes` more. */
export function needRoom(call: FailedCall, inode: FakeInode, moreBytes: number): void {
  const { usedBytes, totalBytes } = inode.fileSystem;
  if (usedBytes + moreBytes > totalBytes) throw systemCallError(call, "ENOSPC");
}
