import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { release, tmpdir } from "node:os";
import { join } from "node:path";
import { isRoot } from "./find-tool.ts";

/** What the kernel shows of one name: everything that a program could ask for. Names and targets are latin1 byte strings. */
export interface SeenEntry {
  readonly path: string;
  readonly kind: string;
  readonly permissions: number;
  readonly owner: string;
  readonly size?: string;
  /** Nanoseconds since 1970, in decimal. */
  readonly mtime: string;
  readonly rdev?: number;
  readonly nlink?: number;
  /** The first path, in walking order, of the names that share the inode. */
  readonly sameAs?: string;
  readonly target?: string;
  /** sha256 of the content, or the error code of reading it; absent where the file is too large to read. */
  readonly content?: string;
  /** Sorted `name=0xHEX`. */
  readonly xattrs: readonly string[];
}

export type WalkJob =
  /** A directory, where the program `mountWith` mounts something first. */
  | { readonly directory: string; readonly mountWith?: readonly string[] }
  /** An EROFS file, alone, or with `objects` as the data-only layer of an overlay. `work` takes the mount points. */
  | { readonly image: string; readonly objects?: string; readonly work: string };

/** Why this machine cannot mount root images, or undefined where it can: for the names of skipped tests. */
export function cannotMount(): string | undefined {
  if (!isRoot) return "mounts need root";
  const [major = 0, minor = 0] = release().split(".").map(Number);
  if (major < 6 || (major === 6 && minor < 7))
    return `overlay reads what composefs writes since Linux 6.7, this is ${release()}`;
  spawnSync("modprobe", ["--quiet", "--all", "erofs", "overlay", "loop"]);
  const probe = spawnSync("grep", ["-c", "-w", "-e", "erofs", "-e", "overlay", "/proc/filesystems"], {
    encoding: "utf8",
  });
  return probe.stdout.trim() === "2" ? undefined : "the kernel has no erofs or no overlay";
}

/**
 * Walks directories and kernel mounts of root images, in a mount namespace of its own; one answer a job.
 *
 * @throws Error when the walk of a job failed, with what mount(8) said.
 */
export function seeTrees(jobs: readonly WalkJob[]): readonly (readonly SeenEntry[])[] {
  return tryTrees(jobs).map((answer) => {
    if (typeof answer === "string") throw new Error(answer);
    return answer;
  });
}

/** As {@link seeTrees}; a job that failed gives the error's text. */
export function tryTrees(jobs: readonly WalkJob[]): readonly (readonly SeenEntry[] | string)[] {
  const scratch = mkdtempSync(join(tmpdir(), "osdeploy-walk-"));
  try {
    const jobFile = join(scratch, "jobs.json");
    writeFileSync(jobFile, JSON.stringify(jobs));
    const script = join(import.meta.dirname, "walk-tree.mjs");
    const command = ["--mount", "--propagation", "private", process.execPath, script, jobFile];
    const run = spawnSync("unshare", command, { encoding: "utf8", maxBuffer: 2 ** 30 });
    if (run.status !== 0) throw new Error(`walk-tree.mjs ended with ${run.status}: ${run.stderr}`);
    return run.stdout.trimEnd().split("\n").map(parseAnswer);
  } finally {
    rmSync(scratch, { recursive: true });
  }
}

function parseAnswer(line: string): readonly SeenEntry[] | string {
  const answer: unknown = JSON.parse(line);
  if (Array.isArray(answer)) return answer as readonly SeenEntry[];
  return String((answer as { readonly error: unknown }).error);
}

/** One readable line an entry, so that a failing comparison can be read by a person. */
export function seenLines(entries: Iterable<SeenEntry>): readonly string[] {
  return Array.from(entries, (entry) =>
    [
      `/${entry.path}`,
      entry.kind,
      entry.permissions.toString(8),
      entry.owner,
      `mtime=${entry.mtime}`,
      ...(["size", "rdev", "nlink", "target", "content"] as const).flatMap((key) =>
        entry[key] === undefined ? [] : [`${key}=${entry[key]}`],
      ),
      ...(entry.sameAs === undefined || entry.sameAs === entry.path ? [] : [`link-to=/${entry.sameAs}`]),
      ...entry.xattrs,
    ].join(" "),
  );
}
