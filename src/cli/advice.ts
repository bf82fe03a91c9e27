import { OsdeployError } from "../core/errors.ts";

/** What decides what somebody can do about an error. */
export interface Circumstances {
  readonly uid: number;
  /** What makes room where this command writes. */
  readonly whenFull: string | undefined;
  /** The place that a command takes when none is named, if this one took it. */
  readonly defaultRepo?: string | undefined;
}

/** An error of a system call, or about the repo, with what the user of this command can do about it; all other errors as they are. */
export function withAdvice(error: unknown, circumstances: Circumstances): unknown {
  if (!(error instanceof OsdeployError) || "hint" in error.facts) return error;
  const hint = adviceFor(error, circumstances);
  if (hint === undefined) return error;
  return new OsdeployError(error.code, error.message, { facts: { ...error.facts, hint }, cause: error.cause });
}

function adviceFor({ code, facts }: OsdeployError, circumstances: Circumstances): string | undefined {
  const { uid, whenFull, defaultRepo } = circumstances;
  if (code === "not-found" && defaultRepo !== undefined && facts["repo"] === defaultRepo) {
    // The system's repo is made together with what it serves.
    return `Name a repo with --repo DIR${uid === 0 ? "" : ", or make this one with: osdeploy repo init"}`;
  }
  switch (facts["errno"]) {
    case "EACCES":
    case "EPERM":
      return uid === 0 ? undefined : "Run it as root";
    case "ENOSPC":
    case "EDQUOT":
      return whenFull && `Free some space, for example with: ${whenFull}`;
    case "EROFS":
      return "Where it should be writable, its file system may have errors: see journalctl -k";
    default:
      return undefined;
  }
}
