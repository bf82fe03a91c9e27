import { type ByteString, inQuotes } from "../bytes/byte-string.ts";
import { OsdeployError } from "../errors.ts";
import { fileType } from "../tree/file-type.ts";
import type { DiskContent, DiskStep } from "./disk-step.ts";

/** What debugfs has to know besides the steps. */
export interface DebugfsOptions {
  /** Every inode is made at this second since 1970, in 1970 to 2038; contents changed when their stat says. */
  readonly time: number;
  /** A file of this machine that holds the value of an extended attribute. */
  readonly valueFile: (value: ByteString) => ByteString;
}

/** debugfs repeats each line on its standard output, so that one run must not get too many. */
const scriptLimitBytes = 8 * 1024 * 1024;
/** debugfs reads lines into a buffer of the C library's BUFSIZ, with line feed and NUL. */
const lineLimitBytes = 8192 - 2;

/** EXTENTS and VERITY. @see https://docs.kernel.org/filesystems/ext4/inodes.html#i-flags */
const sealedFlags = 0x180000;

/**
 * The commands with which debugfs(8) makes the inodes of `steps` in a fresh ext4 file system, one script for each run of
 * it. Owners, modes, times and extended attributes are set in the file system alone, so that no rights are needed, and
 * what is there is the same wherever and whenever it is made.
 *
 * @throws OsdeployError `unsupported` when a name cannot be said in a line: it has a line break, or is too long.
 */
export function* debugfsScripts(steps: Iterable<DiskStep>, options: DebugfsOptions): Generator<ByteString> {
  let lines: string[] = [];
  let length = 0;
  let directory = "";
  for (const step of steps) {
    if (length === 0) {
      lines = [`set_current_time @${options.time}`, `cd ${quoted(`/${directory}`)}`];
    }
    const parent = step.path.slice(0, Math.max(step.path.lastIndexOf("/"), 0));
    if (parent !== directory) lines.push(`cd ${quoted(`/${parent}`)}`);
    directory = parent;
    const made = linesOf(step, options);
    lines.push(...made);
    length += made.reduce((sum, line) => sum + line.length, 0);
    if (length < scriptLimitBytes) continue;
    yield joined(lines);
    length = 0;
  }
  if (length > 0) yield joined(lines);
}

function joined(lines: readonly string[]): ByteString {
  for (const line of lines) checkLine(line);
  return `${lines.join("\n")}\n` as ByteString;
}

function checkLine(line: string): void {
  const state = /[\n\r\0]/.test(line) ? "it has a line break" : line.length > lineLimitBytes ? "it is too long" : "";
  if (state === "") return;
  const shown = inQuotes(line as ByteString);
  throw new OsdeployError("unsupported", `Cannot put a file on the disk: debugfs cannot be told ${shown}: ${state}`);
}

/** As debugfs splits its words: a quote inside quotes is doubled. */
function quoted(word: string): string {
  return `"${word.replaceAll('"', '""')}"`;
}

function linesOf({ path, stat, xattrs, content }: DiskStep, options: DebugfsOptions): readonly string[] {
  const name = path.slice(path.lastIndexOf("/") + 1);
  // Where debugfs takes a path, `<12>` would be an inode's number; where it makes a name, a slash would be part of it.
  const made = quoted(`./${name}`);
  const set = (field: string, value: string): string => `sif ${made} ${field} ${value}`;
  const isLink = content.kind === "symlink";
  return [
    creation(content, quoted(name)),
    set(
      "mode",
      `0${(fileType[content.kind === "file" ? "regular" : content.kind] | (isLink ? 0o777 : stat.permissions)).toString(8)}`,
    ),
    ...(stat.uid === 0 ? [] : [set("uid", String(stat.uid))]),
    ...(stat.gid === 0 ? [] : [set("gid", String(stat.gid))]),
    ...timeLines(set, stat, options.time),
    ...[...xattrs].map(([key, value]) => `ea_set -f ${quoted(options.valueFile(value))} ${made} ${quoted(key)}`),
    ...sealLines(set, content),
  ];
}

function creation(content: DiskContent, name: string): string {
  switch (content.kind) {
    case "directory":
      return `mkdir ${name}`;
    case "symlink":
      return `symlink ${name} ${quoted(content.target)}`;
    case "file":
      return `write ${quoted(content.source)} ${name}`;
    case "fifo":
      return `mknod ${name} p`;
    case "character-device":
      return `mknod ${name} c ${deviceNumbers(content.rdev)}`;
    case "block-device":
      return `mknod ${name} b ${deviceNumbers(content.rdev)}`;
  }
}

/** Major and minor number of a device number in the kernel's 32 bits. */
function deviceNumbers(rdev: number): string {
  return `${(rdev >>> 8) & 0xfff} ${(rdev & 0xff) | ((rdev >>> 12) & 0xfff00)}`;
}

type SetField = (field: string, value: string) => string;

/** ext4 has 34 bits for seconds from 1901 on, two of them beside the nanoseconds. */
function timeLines(
  set: SetField,
  { mtimeSeconds, mtimeNanoseconds }: DiskStep["stat"],
  now: number,
): readonly string[] {
  if (mtimeSeconds === BigInt(now) && mtimeNanoseconds === 0) return [];
  const first = -(2n ** 31n);
  const last = first + 2n ** 34n - 1n;
  const seconds = mtimeSeconds < first ? first : mtimeSeconds > last ? last : mtimeSeconds;
  const low = BigInt.asIntN(32, seconds);
  const extra = ((seconds - low) >> 32n) | (BigInt(mtimeNanoseconds % 1_000_000_000) << 2n);
  return [set("mtime", `@${BigInt.asUintN(32, low)}`), set("mtime_extra", String(extra))];
}

function sealLines(set: SetField, content: DiskContent): readonly string[] {
  if (content.kind !== "file" || content.sealedBytes === undefined) return [];
  return [set("size", String(content.sealedBytes)), set("flags", `0x${sealedFlags.toString(16)}`)];
}
