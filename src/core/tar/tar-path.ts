import { type ByteString, inQuotes } from "../bytes/byte-string.ts";
import { OsdeployError } from "../errors.ts";
import { whiteoutPrefix } from "../tree/layer.ts";
import type { TarLimits } from "./tar-limits.ts";

/** NAME_MAX of Linux. */
const maxName = 255;

/**
 * The path that `raw` means, relative to the root: slashes at both ends, empty and `.` components dropped. The root is
 * the empty path.
 *
 * @throws OsdeployError `bad-format` for the empty string, NUL, `..`, or a name of more than 255 bytes, without the prefix
 * of a whiteout; `limit-exceeded` for a path too long or too deep.
 */
export function readPath(raw: ByteString, limits: TarLimits): ByteString {
  if (raw.length > limits.pathBytes) {
    throw new OsdeployError(
      "limit-exceeded",
      `Cannot read tar entry ${inQuotes(raw)}: its path has ${raw.length} bytes`,
    );
  }
  const depth = plainDepth(raw);
  if (depth > 0 && depth <= limits.pathDepth) return raw;
  return cleanPath(raw, limits);
}

/** The number of components of a path that is already as it should be, else 0. This is the way of nearly all paths. */
function plainDepth(raw: string): number {
  let depth = 0;
  let start = 0;
  for (let at = 0; at <= raw.length; at++) {
    const code = at < raw.length ? raw.charCodeAt(at) : 0x2f;
    if (code === 0) return 0;
    if (code !== 0x2f) continue;
    // Dots and empty or long names are left to the thorough way.
    if (at === start || raw.charCodeAt(start) === 0x2e || at - start > maxName) return 0;
    start = at + 1;
    depth++;
  }
  return depth;
}

function cleanPath(raw: ByteString, limits: TarLimits): ByteString {
  if (raw === "") throw new OsdeployError("bad-format", "Cannot read tar entry: it has no name");
  if (raw.includes("\0")) throw badPath(raw, "its path holds a NUL byte");
  const names = raw.split("/").filter((name) => name !== "" && name !== ".");
  if (names.includes("..")) throw badPath(raw, 'its path holds ".."');
  if (names.some((name, i) => nameBytes(name, i === names.length - 1) > maxName)) {
    throw badPath(raw, "a name in its path has more than 255 bytes");
  }
  if (names.length > limits.pathDepth) {
    throw new OsdeployError(
      "limit-exceeded",
      `Cannot read tar entry ${inQuotes(raw)}: its path is ${names.length} deep`,
    );
  }
  return names.join("/") as ByteString;
}

/** Of a whiteout that of the name that it takes away, which may be as long as any. */
function nameBytes(name: string, isLast: boolean): number {
  return isLast && name.startsWith(whiteoutPrefix) ? name.length - whiteoutPrefix.length : name.length;
}

function badPath(raw: ByteString, state: string): OsdeployError {
  return new OsdeployError("bad-format", `Cannot read tar entry ${inQuotes(raw)}: ${state}`);
}
