import { type ByteString, fromBytes, fromText } from "../core/bytes/byte-string.ts";
import type { LinuxFiles } from "./linux.ts";

/** Text of the kernel's; it grows with the number of mounts. */
const limitBytes = 16 * 1024 * 1024;
const list = fromText("/proc/self/mountinfo");

/**
 * What is mounted, as this process sees it: lines for `parseMounts`.
 *
 * @throws OsdeployError `not-found` where there is no /proc.
 */
export function readMountinfo(files: LinuxFiles): ByteString {
  return fromBytes(files.readFile(list, limitBytes));
}

/** The same for who only takes care: without a /proc nothing is known to be mounted. */
export function readMountinfoIfThere(files: LinuxFiles): ByteString {
  return files.lstatIfExists(list) === undefined ? fromText("") : readMountinfo(files);
}
