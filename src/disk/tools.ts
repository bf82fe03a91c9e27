import { decodeText } from "../core/bytes/utf8.ts";
import { OsdeployError } from "../core/errors.ts";
import type { LinuxPrograms, ProgramOptions } from "../linux/linux.ts";

/** The programs that make disks, and the Debian package that each is in. */
const packages = {
  "mkfs.ext4": "e2fsprogs",
  debugfs: "e2fsprogs",
  e2fsck: "e2fsprogs",
  "mkfs.btrfs": "btrfs-progs",
  "mkfs.xfs": "xfsprogs",
  "mkfs.vfat": "dosfstools",
  mmd: "mtools",
  mcopy: "mtools",
  "qemu-img": "qemu-utils",
  blkid: "util-linux",
  mount: "mount",
  umount: "mount",
  wipefs: "util-linux",
} as const;

export type ToolName = keyof typeof packages;

/** Making and filling file systems takes minutes on slow disks. */
const limitSeconds = 3600;

/** What a tool printed. */
export interface ToolOutput {
  readonly stdout: Uint8Array;
  readonly stderr: string;
}

/** How a tool is run. */
export interface ToolOptions extends ProgramOptions {
  /** What it ends with, silently, when there is nothing that it could tell. */
  readonly nothingStatus?: number;
}

/**
 * Runs a tool to its end; a failure is an error with the tool's own words.
 *
 * @throws OsdeployError `unsupported` where it is missing, with the package to install; `permission-denied`
 * when the kernel refused it what it needs; `no-space`; `system` when it fails otherwise.
 */
export function runTool(
  programs: LinuxPrograms,
  [tool, ...words]: readonly [ToolName, ...string[]],
  { nothingStatus = 0, ...options }: ToolOptions = {},
): ToolOutput {
  const ended = runFound(programs, [tool, ...words], { limitSeconds, ...options });
  if (ended === undefined) throw missingTools([tool]);
  const { status, stdout, stderr } = ended;
  if (status === 0 || (status === nothingStatus && stderr === "")) return { stdout, stderr };
  const said = lastWords(stderr) || lastWords(decodeText(stdout)) || "it says nothing";
  const isRefused = /(permission denied|operation not permitted)$/i.test(said);
  // mcopy says so of the FAT partition that it fills.
  const isFull = saysNoRoom(said) || /\bdisk full$/i.test(said);
  const code = isRefused ? "permission-denied" : isFull ? "no-space" : "system";
  throw new OsdeployError(code, `Cannot install: ${tool} failed with status ${status}: ${said}`, {
    facts: { tool, status, ...(isRefused && { errno: "EACCES" }), ...(saysNoRoom(said) && { hint: roomHint }) },
  });
}

/** Whether a tool says that a file system of this machine is full. */
export function saysNoRoom(said: string): boolean {
  return /no space left on device/i.test(said);
}

/** Where the room is, when {@link saysNoRoom}. */
export const roomHint =
  "A file is made in its own directory, and what is for a disk in /var/tmp first: make room there";

/**
 * Refuses when some of the tools are missing, before anything is done.
 *
 * @throws OsdeployError `unsupported`, with all packages to install.
 */
export function requireTools(programs: LinuxPrograms, tools: readonly ToolName[]): void {
  const missing = tools.filter((tool) => runFound(programs, [tool, "-V"], {}) === undefined);
  if (missing.length > 0) throw missingTools(missing);
}

function missingTools(tools: readonly ToolName[]): OsdeployError {
  const named = tools.join(", ");
  const debs = [...new Set(tools.map((tool) => packages[tool]))];
  const state = tools.length === 1 ? `the program ${named} is missing` : `the programs ${named} are missing`;
  const place = debs.length === 1 ? `in the package ${debs[0]}` : `in the packages ${debs.join(", ")}`;
  const hint =
    tools.length === 1 ? `Install it; on Debian it is ${place}` : `Install them; on Debian they are ${place}`;
  return new OsdeployError("unsupported", `Cannot install: ${state}`, { facts: { tool: named, hint } });
}

/** Undefined where it is missing. Users without root's rights seldom have /usr/sbin in their PATH. */
function runFound(
  programs: LinuxPrograms,
  [tool, ...words]: readonly [ToolName, ...string[]],
  options: ProgramOptions,
) {
  for (const program of [tool, `/usr/sbin/${tool}`]) {
    try {
      return programs.run([program, ...words], options);
    } catch (error) {
      if (!(error instanceof OsdeployError && error.code === "not-found")) throw error;
    }
  }
  return undefined;
}

/** The end of what a program said, in one line. */
function lastWords(text: string): string {
  const lines = text.split("\n").filter((line) => line.trim() !== "");
  return lines
    .slice(-3)
    .join("; ")
    .replace(/\p{Cc}+/gu, " ")
    .trim()
    .slice(-500);
}
