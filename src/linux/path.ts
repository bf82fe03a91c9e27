import { type ByteString, fromText } from "../core/bytes/byte-string.ts";
import type { Path } from "./linux.ts";

/** `name` in `directory`. For names in bytes, as they come from trees and directories. */
export function childPath(directory: Path, name: ByteString): Path {
  return `${directory}/${name}` as Path;
}

/** `path`, plain text that may hold slashes, below `directory`. */
export function pathBelow(directory: Path, path: string): Path {
  return childPath(directory, fromText(path));
}
