import { decodeText } from "../core/bytes/utf8.ts";
import type { StagedDeployment } from "../core/deployment/deployment.ts";
import { formatStagedNote, parseStagedNote, type StagedNote } from "../core/deployment/staged-note.ts";
import { OsdeployError, unlessFailing } from "../core/errors.ts";
import type { LinuxFiles } from "../linux/linux.ts";
import { pathBelow } from "../linux/path.ts";
import { readSmallFile, removeDurably, writeDurably } from "./durable-file.ts";
import type { SysrootPaths } from "./sysroot-paths.ts";

const name = "staged";

/** What was staged last and not dropped. */
export interface FoundNote {
  readonly note: StagedNote | undefined;
  /** What keeps it from being read. */
  readonly damage: OsdeployError | undefined;
}

/** Reads the note of what was staged, if there is one. */
export function readStagedNote(files: LinuxFiles, paths: SysrootPaths): FoundNote {
  try {
    const bytes = readSmallFile(files, pathBelow(paths.records, name));
    return { note: bytes && parseStagedNote(bytes), damage: undefined };
  } catch (error) {
    if (error instanceof OsdeployError) return { note: undefined, damage: error };
    throw error;
  }
}

/** Notes what is staged, durable. It is only told of: a disk that takes no note keeps nothing from being staged. */
export function writeStagedNote(files: LinuxFiles, paths: SysrootPaths, staged: StagedDeployment): void {
  const { origin, sequence, finalizationLocked } = staged;
  const { imageReference, manifestDigest } = origin;
  const text = formatStagedNote({ imageReference, manifestDigest, sequence, finalizationLocked });
  unlessFailing(() => {
    const there = readSmallFile(files, pathBelow(paths.records, name));
    if (there !== undefined && decodeText(there) === text) return;
    writeDurably(files, { root: paths.root, directory: "state/osdeploy", name }, text);
  });
}

/** It is settled. One that cannot be removed is told of again, and keeps nothing from being done. */
export function removeStagedNote(files: LinuxFiles, paths: SysrootPaths): void {
  unlessFailing(() => removeDurably(files, paths.records, name));
}
