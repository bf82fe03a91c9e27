import { toText } from "../core/bytes/byte-string.ts";
import { unless } from "../core/errors.ts";
import { readToEnd, withOpen } from "../linux/file-content.ts";
import type { LinuxFiles, Path } from "../linux/linux.ts";

/** What of the process decides where configuration is. */
export interface Environment {
  /** `process.env`. */
  readonly variables: Readonly<Record<string, string | undefined>>;
  readonly userId: number;
}

/** Configuration is written by people. */
const fileLimitBytes = 4 * 1024 * 1024;

/** The user's home directory; units of systemd have no HOME, and run as root. */
export function homeOf(environment: Environment): string {
  return variableOf(environment, "HOME") ?? "/root";
}

/** The value of a variable; undefined when it is not set, or empty. */
export function variableOf({ variables }: Environment, name: string): string | undefined {
  return variables[name] || undefined;
}

/**
 * The bytes of a file that an administrator has put there, perhaps as a symlink; undefined where there is none.
 *
 * @throws OsdeployError `permission-denied`, `limit-exceeded`.
 */
export function readConfiguration(files: LinuxFiles, path: Path): Uint8Array | undefined {
  if (files.lstatIfExists(path) === undefined) return undefined;
  // A symlink that leads nowhere.
  return unless("not-found", () => withOpen(files, path, "input", (fd) => readToEnd(files, fd, fileLimitBytes)));
}

/** The names in a directory, in byte order; none where there is no such directory. */
export function listConfiguration(files: LinuxFiles, path: Path): readonly Path[] {
  return unless("not-found", () => files.readDirectory(path)) ?? [];
}

/** `path` as text, quoted, for messages. */
export function quotePath(path: Path): string {
  return JSON.stringify(toText(path));
}
