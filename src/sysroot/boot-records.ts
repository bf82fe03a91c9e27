import { toText } from "../core/bytes/byte-string.ts";
import { decodeText } from "../core/bytes/utf8.ts";
import { OsdeployError } from "../core/errors.ts";
import type { LinuxFiles, Path } from "../linux/linux.ts";
import { pathBelow } from "../linux/path.ts";
import { finishedNames, readSmallFile, removeDurably, writeDurably } from "./durable-file.ts";
import type { SysrootPaths } from "./sysroot-paths.ts";

/**
 * What `status` is to tell until it is settled: that a shutdown could not commit, that the loader does not count, that a
 * deployment was damaged on this disk.
 */
export type NoteName = "finalize-failure" | "not-counted" | "damaged";

const noteNames: readonly NoteName[] = ["finalize-failure", "not-counted", "damaged"];

/** A reason is a line or a few; the end of a longer one says more than its beginning. */
const reasonLimit = 4000;

/** Why a boot of this entry failed, as the initramfs or the health checks wrote it down; undefined where nobody did. */
export function readBootFailure(files: LinuxFiles, paths: SysrootPaths, entryId: string): string | undefined {
  const what = `The record of why boot entry ${entryId} failed`;
  return readSentence(files, pathBelow(paths.records, `boot-failures/${entryId}`), what)?.slice(-reasonLimit);
}

/** Whether it failed for damage on this disk, and not for what the image is. The initramfs writes it so. */
export function isDamage(failure: string | undefined): boolean {
  return failure?.startsWith("damaged: ") === true;
}

/** Forgets the failures of all entries but those in `keep`. */
export function removeBootFailures(files: LinuxFiles, paths: SysrootPaths, keep: ReadonlySet<string>): void {
  const directory = pathBelow(paths.records, "boot-failures");
  for (const name of finishedNames(files, directory)) {
    if (!keep.has(toText(name))) removeDurably(files, directory, toText(name));
  }
}

/** The notes that are there: whole sentences. */
export function readNotes(files: LinuxFiles, paths: SysrootPaths): readonly string[] {
  return noteNames.flatMap((name) => readNote(files, paths, name) ?? []);
}

/** The note of this name, as a whole sentence; undefined when there is none. */
export function readNote(files: LinuxFiles, paths: SysrootPaths, name: NoteName): string | undefined {
  return readSentence(files, pathBelow(paths.records, name), `The note ${name}`);
}

/** A record that cannot be read is one all the same, and breaks no command. */
function readSentence(files: LinuxFiles, path: Path, what: string): string | undefined {
  try {
    const bytes = readSmallFile(files, path);
    return bytes === undefined ? undefined : decodeText(bytes).trim();
  } catch (error) {
    if (error instanceof OsdeployError) return `${what} cannot be read: ${error.message}`;
    throw error;
  }
}

/** Writes a note, durable; one of that name is replaced. */
export function writeNote(files: LinuxFiles, paths: SysrootPaths, name: NoteName, sentence: string): void {
  writeDurably(files, { root: paths.root, directory: "state/osdeploy", name }, `${sentence}\n`);
}

/** It is settled. */
export function removeNote(files: LinuxFiles, paths: SysrootPaths, name: NoteName): void {
  removeDurably(files, paths.records, name);
}

const collecting = "collecting";

/**
 * Notes that deployments are being taken away: until {@link endCollection} the repo may hold what only they needed. On a full
 * disk there is no note, for room is what the collection is to make; stopped then, it leaves what only a whole one finds.
 */
export function beginCollection(files: LinuxFiles, paths: SysrootPaths): void {
  if (isCollecting(files, paths)) return;
  try {
    writeDurably(files, { root: paths.root, directory: "state/osdeploy", name: collecting }, "");
  } catch (error) {
    if (!(error instanceof OsdeployError && error.code === "no-space")) throw error;
  }
}

export function endCollection(files: LinuxFiles, paths: SysrootPaths): void {
  removeDurably(files, paths.records, collecting);
}

/** Whether a collection was begun and not ended. */
export function isCollecting(files: LinuxFiles, paths: SysrootPaths): boolean {
  return files.lstatIfExists(pathBelow(paths.records, collecting)) !== undefined;
}
