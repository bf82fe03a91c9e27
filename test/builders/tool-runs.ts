import { fromText, toBytes } from "../../src/core/bytes/byte-string.ts";
import { OsdeployError } from "../../src/core/errors.ts";
import type { Linux, LinuxFiles, LinuxPrograms } from "../../src/linux/linux.ts";

/** What a tool says when it is run with these words; undefined where the machine has no such tool. */
export type Answers = (words: readonly string[]) => string | undefined;

/** Programs that always succeed, with these answers. */
export function toolsThatSay(answers: Answers): LinuxPrograms["run"] {
  return (words) => {
    const stdout = answers(words);
    if (stdout === undefined) throw new OsdeployError("not-found", `Cannot run ${words[0]}: there is no such program`);
    return { status: 0, stdout: toBytes(fromText(stdout)), stderr: "" };
  };
}

/** Writes a file with the directories that lead to it. */
export function putFile(files: LinuxFiles, path: string, text: string): void {
  const names = path.split("/").slice(1, -1);
  for (let depth = 1; depth <= names.length; depth++) {
    const directory = fromText(`/${names.slice(0, depth).join("/")}`);
    if (files.lstatIfExists(directory) === undefined) files.makeDirectory(directory, 0o755);
  }
  if (files.lstatIfExists(fromText(path)) !== undefined) files.unlink(fromText(path));
  files.writeNewFile(fromText(path), toBytes(fromText(text)), 0o644);
}

/** Something that is mounted. */
export interface FakeMount {
  readonly number?: string;
  /** The part of the file system; all of it when not given. */
  readonly directory?: string;
  readonly at: string;
  readonly type: string;
  readonly source: string;
  /** Those of the file system. */
  readonly options?: string;
}

/** Says what is mounted where, as the kernel does. */
export function putMounts({ files }: Pick<Linux, "files">, mounts: readonly FakeMount[]): void {
  const lines = mounts.map(
    ({ number = "8:1", directory = "/", at, type, source, options = "rw" }) =>
      `20 1 ${number} ${directory} ${at} rw shared:1 - ${type} ${source} ${options}\n`,
  );
  putFile(files, "/proc/self/mountinfo", lines.join(""));
}
