import { fromText } from "../core/bytes/byte-string.ts";
import type { StagedDeployment } from "../core/deployment/deployment.ts";
import { formatStaged, parseStaged } from "../core/deployment/staged-file.ts";
import { OsdeployError } from "../core/errors.ts";
import type { LinuxFiles, Path } from "../linux/linux.ts";
import { readSmallFile, removeDurably, writeDurably } from "./durable-file.ts";
import { removeStagedNote, writeStagedNote } from "./staged-note-file.ts";
import type { Sysroot } from "./sysroot.ts";

/** It is gone when the machine stops in any other way than by a shutdown: then nothing was to be committed. */
const directory: Path = fromText("/run/osdeploy");
const name = "staged.json";

/** What is to be committed at shutdown. */
export interface FoundStaged {
  readonly staged: StagedDeployment | undefined;
  /** What keeps the record from being read. */
  readonly damage: OsdeployError | undefined;
}

/** Reads the record of the staged deployment, if there is one. */
export function readStagedMarker(files: LinuxFiles): FoundStaged {
  try {
    const bytes = readSmallFile(files, fromText(`${directory}/${name}`));
    return { staged: bytes && parseStaged(bytes), damage: undefined };
  } catch (error) {
    if (error instanceof OsdeployError) return { staged: undefined, damage: error };
    throw error;
  }
}

/**
 * Marks a deployment as staged: the last step of staging. What was staged before is replaced. The note comes after the record, and
 * goes before it, so that what it says was staged indeed.
 */
export function recordStaged({ files, paths }: Sysroot, staged: StagedDeployment): void {
  writeDurably(files, { root: fromText("/run"), directory: "osdeploy", name }, formatStaged(staged));
  writeStagedNote(files, paths, staged);
}

/**
 * Nothing is staged any more, and nothing that was is to be told of: also what a rollback overtook that was stopped before it got so
 * far. What is staged on another sysroot stays.
 */
export function dropStaged({ files, paths, running }: Sysroot): void {
  removeStagedNote(files, paths);
  if (running !== undefined) removeDurably(files, directory, name);
}
