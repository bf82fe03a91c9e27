import { toText } from "../core/bytes/byte-string.ts";
import { encodeText } from "../core/bytes/utf8.ts";
import { OsdeployError } from "../core/errors.ts";
import type { Fd, LinuxFiles, Path } from "../linux/linux.ts";
import { formatRepoMeta, type RepoMeta } from "./meta-file.ts";
import { metaPath } from "./repo-paths.ts";
import { type RepoLinux, unusedPath } from "./temporary-name.ts";

/**
 * Writes the `meta.json` of the repo at `path` under another name, and seals it in secure mode. `fd` is the open directory.
 *
 * @returns the name, for {@link nameMeta}.
 * @throws OsdeployError `unsupported` when it is to be sealed and kernel or file system have no fs-verity.
 */
export function writeMeta(
  linux: RepoLinux,
  path: Path,
  options: { readonly fd: Fd; readonly meta: RepoMeta; readonly secure: boolean },
): Path {
  const { files } = linux;
  const temporary = unusedPath(linux, path, ".tmp-");
  files.writeNewFile(temporary, encodeText(formatRepoMeta(options.meta)), 0o644);
  if (!options.secure) return temporary;
  files.syncFileSystem(options.fd);
  if (files.enableVerity(temporary, options.meta.algorithm)) return temporary;
  files.unlink(temporary);
  const state = "kernel or file system have no fs-verity; use another file system, or make an insecure repo";
  throw new OsdeployError("unsupported", `Cannot seal repo "${toText(path)}": ${state}`, {
    facts: { repo: toText(path), hint: "To make one without: osdeploy repo init --insecure" },
  });
}

/** Makes `temporary` of {@link writeMeta} the `meta.json`: the repo is one from now on. All that it stands on becomes durable first. */
export function nameMeta(
  files: LinuxFiles,
  path: Path,
  { fd, temporary }: { readonly fd: Fd; readonly temporary: Path },
): void {
  // The seal decides the mode of the whole repo, so it has to be durable before the name is.
  files.syncFileSystem(fd);
  files.rename(temporary, metaPath(path));
  files.syncFileSystem(fd);
}
