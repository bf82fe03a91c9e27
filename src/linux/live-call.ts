import { readlinkSync } from "node:fs";
import { type ByteString, fromText } from "../core/bytes/byte-string.ts";
import { errnoName, type FailedCall, systemCallError } from "./errno.ts";
import { lastErrno, refuseNul } from "./libc.ts";
import type { Fd, Path } from "./linux.ts";

/** `path` as `node:fs` takes it: bytes. */
export function toNodePath(path: Path): Buffer {
  refuseNul(path);
  return Buffer.from(path, "latin1");
}

/** Runs a call of `node:fs`; what the kernel refuses becomes an error that names `call`'s paths. */
export function attempt<Result>(call: FailedCall, action: () => Result): Result {
  try {
    return action();
  } catch (error) {
    throw nodeCallError(call, error);
  }
}

/** {@link attempt} for a call on an open file. Its path is asked for only when the call failed. */
export function attemptOn<Result>(verb: string, fd: Fd, action: () => Result): Result {
  try {
    return action();
  } catch (error) {
    throw nodeCallError({ verb, path: pathOf(fd) }, error);
  }
}

/** Takes the answer of a C function on an open file, which says -1 on failure. */
export function checkedOn(verb: string, fd: Fd, answer: number): void {
  if (answer >= 0) return;
  const errno = lastErrno();
  throw systemCallError({ verb, path: pathOf(fd) }, errno);
}

/** The path that an open file has now, as the kernel tells it; some words where it is not open. */
export function pathOf(fd: number): ByteString {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`, "latin1") as ByteString;
  } catch {
    return fromText(`file descriptor ${fd}`);
  }
}

/** What an error that `node:fs` threw becomes; as it is where the kernel did not cause it. */
export function nodeCallError(call: FailedCall, error: unknown): unknown {
  if (!(error instanceof Error) || !("errno" in error) || typeof error.errno !== "number") return error;
  return systemCallError(call, errnoName(-error.errno), error);
}
