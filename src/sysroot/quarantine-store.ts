import { toText } from "../core/bytes/byte-string.ts";
import {
  formatQuarantine,
  parseQuarantine,
  type QuarantineRecord,
  quarantineFileName,
} from "../core/deployment/quarantine.ts";
import { type ManifestDigest, parseManifestDigest } from "../core/digest/oci-digest.ts";
import { OsdeployError } from "../core/errors.ts";
import type { LinuxFiles, Path } from "../linux/linux.ts";
import { childPath, pathBelow } from "../linux/path.ts";
import { finishedNames, readSmallFile, removeDurably, writeDurably } from "./durable-file.ts";
import type { SysrootPaths } from "./sysroot-paths.ts";

/**
 * All records, in the order of their digests. One that cannot be read still keeps its image out: the file's name says which.
 */
export function readQuarantine(files: LinuxFiles, paths: SysrootPaths): readonly QuarantineRecord[] {
  const directory = quarantineDirectory(paths);
  return finishedNames(files, directory).flatMap((name) => {
    const digest = digestOfFileName(toText(name));
    return digest === undefined ? [] : [readRecord(files, childPath(directory, name), digest)];
  });
}

function readRecord(files: LinuxFiles, path: Path, manifestDigest: ManifestDigest): QuarantineRecord {
  try {
    const bytes = readSmallFile(files, path) ?? new Uint8Array(0);
    return { ...parseQuarantine(bytes, manifestDigest), manifestDigest };
  } catch (error) {
    if (!(error instanceof OsdeployError)) throw error;
    const reason = "its record cannot be read";
    const unknown = { imageReference: undefined, bootEntry: undefined, since: "", bootLog: "" };
    return { manifestDigest, cause: "boot-failed", reason, ...unknown };
  }
}

function digestOfFileName(name: string): ManifestDigest | undefined {
  const hex = /^([0-9a-f]{64}|[0-9a-f]{128})\.json$/.exec(name)?.[1];
  return hex === undefined ? undefined : parseManifestDigest(`${hex.length === 64 ? "sha256" : "sha512"}:${hex}`);
}

/** Puts an image into quarantine; a record that is there is replaced. Durable when it returns. */
export function writeQuarantine(files: LinuxFiles, paths: SysrootPaths, record: QuarantineRecord): void {
  const place = {
    root: paths.root,
    directory: "state/osdeploy/quarantine",
    name: quarantineFileName(record.manifestDigest),
  };
  writeDurably(files, place, formatQuarantine(record));
}

/** Takes an image out of quarantine; fine when it is not in there. */
export function removeQuarantine(files: LinuxFiles, paths: SysrootPaths, digest: ManifestDigest): void {
  removeDurably(files, quarantineDirectory(paths), quarantineFileName(digest));
}

function quarantineDirectory(paths: SysrootPaths): Path {
  return pathBelow(paths.records, "quarantine");
}
