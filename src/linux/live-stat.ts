import { type BigIntStats, fstatSync, lstatSync } from "node:fs";
import { OsdeployError } from "../core/errors.ts";
import { kindOfMode } from "../core/tree/file-type.ts";
import type { FileStat, LinuxFiles } from "./linux.ts";
import { attempt, attemptOn, nodeCallError, toNodePath } from "./live-call.ts";

const nanosecondsPerSecond = 1_000_000_000n;

/** The calls that tell about a file. */
export const liveStat: Pick<LinuxFiles, "lstat" | "lstatIfExists" | "fstat"> = {
  lstat: (path) => {
    const name = toNodePath(path);
    return attempt({ verb: "read the metadata of", path }, () => toFileStat(lstatSync(name, { bigint: true })));
  },
  lstatIfExists: (path) => {
    const name = toNodePath(path);
    try {
      const stats = lstatSync(name, { bigint: true, throwIfNoEntry: false });
      return stats === undefined ? undefined : toFileStat(stats);
    } catch (error) {
      const refused = nodeCallError({ verb: "read the metadata of", path }, error);
      // Below a file there is nothing either (ENOTDIR), which Node does not count.
      if (refused instanceof OsdeployError && refused.code === "not-found") return undefined;
      throw refused;
    }
  },
  fstat: (fd) => attemptOn("read the metadata of", fd, () => toFileStat(fstatSync(fd, { bigint: true }))),
};

function toFileStat(stats: BigIntStats): FileStat {
  const mode = Number(stats.mode);
  const kind = kindOfMode(mode) ?? "regular";
  // Node gives one number of nanoseconds; times before 1970 need the floor, not the part before the point.
  let nanoseconds = stats.mtimeNs % nanosecondsPerSecond;
  if (nanoseconds < 0n) nanoseconds += nanosecondsPerSecond;
  return {
    kind,
    permissions: mode & 0o7777,
    uid: Number(stats.uid),
    gid: Number(stats.gid),
    nlink: Number(stats.nlink),
    // For device numbers of the kernel's 32 bits the C library's 64-bit form is the same number.
    rdev: kind === "character-device" || kind === "block-device" ? Number(stats.rdev) : 0,
    sizeBytes: Number(stats.size),
    mtimeSeconds: (stats.mtimeNs - nanoseconds) / nanosecondsPerSecond,
    mtimeNanoseconds: Number(nanoseconds),
    identity: `${stats.dev}:${stats.ino}`,
  };
}
