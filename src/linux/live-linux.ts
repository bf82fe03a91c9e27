import { randomBytes } from "node:crypto";
import type { ByteString } from "../core/bytes/byte-string.ts";
import type { Linux } from "./linux.ts";
import { liveAttributes } from "./live-attributes.ts";
import { releaseMemory } from "./live-memory.ts";
import { liveMounts } from "./live-mounts.ts";
import { liveNames } from "./live-names.ts";
import { liveOpenFiles } from "./live-open-files.ts";
import { liveProcesses } from "./live-processes.ts";
import { livePrograms } from "./live-programs.ts";
import { liveStat } from "./live-stat.ts";
import { liveVerity } from "./live-verity.ts";

/**
 * The machine this process runs on.
 *
 * Costs nothing until it is used; the first call that Node itself cannot make loads the native library (8 ms). Holds no
 * state, so that each worker opens its own.
 */
export function openLinux(): Linux {
  return {
    files: { ...liveOpenFiles, ...liveStat, ...liveNames, ...liveAttributes, ...liveVerity },
    mounts: liveMounts,
    programs: { ...livePrograms, ...liveProcesses },
    clock: { now: Date.now, randomName: () => randomBytes(8).toString("hex") as ByteString },
    releaseMemory,
  };
}
