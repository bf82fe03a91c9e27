import { toText } from "../core/bytes/byte-string.ts";
import { encodeText } from "../core/bytes/utf8.ts";
import { OsdeployError } from "../core/errors.ts";
import type { Fd, Path } from "../linux/linux.ts";
import { formatRepoMeta, type RepoMeta } from "./meta-file.ts";
import { metaPath } from "./repo-paths.ts";
import { type RepoLinux, unusedPath } from "./temporary-name.ts";

/**
 * Gives a directory its `meta.json`, sealed in secure mode; the name comes last, when all it stands on is durable.
 * `fd` is the open directory.
 *
 * @throws OsdeployError `unsupported` when it is to be sealed and kernel or file system have no fs-verity.
 */
export function writeMeta(
  linux: RepoLinux,
  path: Path,
  options: { readonly fd: Fd; readonly meta: RepoMeta; readonly secure: boolean },
): void {
  const { files } = linux;
  const temporary = unusedPath(linux, path, ".tmp-");
  files.writeNewFile(temporary, encodeText(formatRepoMeta(options.meta)), 0o644);
  files.syncFileSystem(options.fd);
  if (options.secure && !files.enableVerity(temporary, options.meta.algorithm)) {
    files.unlink(temporary);
    const state = "kernel or file system have no fs-verity; use another file system, or make an insecure repo";
    throw new OsdeployError("unsupported", `Cannot seal repo "${toText(path)}": ${state}`, {
      facts: { repo: toText(path), hint: "To make one without: osdeploy repo init --insecure" },
    });
  }
  // The seal decides the mode of the whole repo, so it has to be durable before the name is.
  if (options.secure) files.syncFileSystem(options.fd);
  files.rename(temporary, metaPath(path));
  files.syncFileSystem(options.fd);
}
