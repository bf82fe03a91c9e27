import {
  chmodSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  realpathSync,
  renameSync,
  rmdirSync,
  symlinkSync,
  unlinkSync,
} from "node:fs";
import type { ByteString } from "../core/bytes/byte-string.ts";
import { systemCallError } from "./errno.ts";
import { asCString, atWorkingDirectory, lastErrno, libc } from "./libc.ts";
import type { LinuxFiles, Path } from "./linux.ts";
import { attempt, toNodePath } from "./live-call.ts";
import { maskedBits } from "./umask.ts";

type NameCalls =
  | "readDirectory"
  | "readLink"
  | "realPath"
  | "makeDirectory"
  | "removeDirectory"
  | "unlink"
  | "symlink"
  | "link"
  | "rename"
  | "exchange";

/** The calls that read and change names. */
export const liveNames: Pick<LinuxFiles, NameCalls> = {
  readDirectory: (path) => {
    const name = toNodePath(path);
    return attempt({ verb: "read the directory", path }, () => readdirSync(name, "latin1").sort() as ByteString[]);
  },
  readLink: (path) => {
    const name = toNodePath(path);
    return attempt({ verb: "read the symbolic link", path }, () => readlinkSync(name, "latin1") as ByteString);
  },
  realPath: (path) => {
    const name = toNodePath(path);
    return attempt({ verb: "find", path }, () => realpathSync.native(name, "latin1") as Path);
  },
  makeDirectory: (path, permissions) => {
    const name = toNodePath(path);
    attempt({ verb: "make the directory", path, isNew: true }, () => {
      mkdirSync(name, permissions);
      // mkdir(2) takes no setuid and setgid bits.
      if ((permissions & (maskedBits() | 0o6000)) !== 0) chmodSync(name, permissions);
    });
  },
  removeDirectory: (path) => {
    const name = toNodePath(path);
    attempt({ verb: "remove the directory", path }, () => rmdirSync(name));
  },
  unlink: (path) => {
    const name = toNodePath(path);
    attempt({ verb: "remove", path }, () => unlinkSync(name));
  },
  symlink: (target, path) => {
    const [content, name] = [toNodePath(target), toNodePath(path)];
    attempt({ verb: "make the symbolic link", path, isNew: true }, () => symlinkSync(content, name));
  },
  link: (existing, path) => {
    const [from, to] = [toNodePath(existing), toNodePath(path)];
    attempt({ verb: "link", path: existing, to: path }, () => linkSync(from, to));
  },
  rename: (from, to, options) => {
    if (options?.replace === false) return renameToFreeName(from, to);
    const [source, target] = [toNodePath(from), toNodePath(to)];
    attempt({ verb: "rename", path: from, to }, () => renameSync(source, target));
  },
  exchange: (one, other) => {
    if (renameWith(renameExchange, one, other)) return true;
    const errno = lastErrno();
    if (errno === "EINVAL" || errno === "ENOSYS") return false;
    throw systemCallError({ verb: "exchange", path: one, to: other }, errno);
  },
};

/** Of renameat2(2), by architecture: older C libraries have no function for it. */
const renameat2Numbers: Readonly<Record<string, number>> = { x64: 316, arm64: 276 };
const renameNoReplace = 1;
const renameExchange = 2;

function renameToFreeName(from: Path, to: Path): void {
  if (renameWith(renameNoReplace, from, to)) return;
  const errno = lastErrno();
  if (errno === "EINVAL" || errno === "ENOSYS") linkAndUnlink(from, to);
  else throw systemCallError({ verb: "rename", path: from, to }, errno);
}

/** For a file on a file system that does not rename like this; one that cannot link either says so. */
function linkAndUnlink(from: Path, to: Path): void {
  const [source, target] = [toNodePath(from), toNodePath(to)];
  attempt({ verb: "rename", path: from, to }, () => linkSync(source, target));
  attempt({ verb: "remove", path: from }, () => unlinkSync(source));
}

/** False where it failed: the errno tells why. */
function renameWith(flag: number, from: Path, to: Path): boolean {
  const [source, target] = [asCString(from, 0), asCString(to, 1)];
  const number = renameat2Numbers[process.arch];
  if (number === undefined) throw systemCallError({ verb: "rename", path: from, to }, "ENOSYS");
  return libc().renameat2(number, atWorkingDirectory, source, atWorkingDirectory, target, flag) >= 0;
}
