import { createHash } from "node:crypto";
import type { ByteString } from "../../src/core/bytes/byte-string.ts";
import type { LinuxFiles, Path } from "../../src/linux/linux.ts";

/** Everything below `directory`, a line each: path, kind, owner, mode, and what it holds. Equal lines mean equal disks. */
export function describeFiles(files: LinuxFiles, directory: Path): readonly string[] {
  return files.readDirectory(directory).flatMap((name) => {
    const path = `${directory}/${name}` as ByteString;
    const stat = files.lstat(path);
    const line = `${path} ${stat.kind} ${stat.uid}:${stat.gid} ${stat.permissions.toString(8)}`;
    switch (stat.kind) {
      case "directory":
        return [line, ...describeFiles(files, path)];
      case "symlink":
        return [`${line} -> ${files.readLink(path)}`];
      default:
        return [
          `${line} ${createHash("sha256")
            .update(files.readFile(path, 1 << 24))
            .digest("hex")
            .slice(0, 16)}`,
        ];
    }
  });
}
