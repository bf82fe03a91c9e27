import { type ByteString, fromText, toText } from "../core/bytes/byte-string.ts";
import type { ObjectId } from "../core/digest/object-id.ts";
import { OsdeployError } from "../core/errors.ts";
import type { Path } from "../linux/linux.ts";
import { childPath, pathBelow } from "../linux/path.ts";

/** The repo's file that says what it is; sealed with fs-verity when all its objects are. */
export function metaPath(repo: Path): Path {
  return pathBelow(repo, "meta.json");
}

/** The directory whose 256 directories hold the objects. */
export function objectsPath(repo: Path): Path {
  return pathBelow(repo, "objects");
}

/** The directory of all objects whose name starts with the two hex digits `prefix`. */
export function objectDirectory(repo: Path, prefix: string): Path {
  return pathBelow(objectsPath(repo), prefix);
}

/** Where the object `id` lies, relative to the object directory: `ab/cdef…`. */
function objectName(id: ObjectId): string {
  return `${id.slice(0, 2)}/${id.slice(2)}`;
}

/** Where the object `id` lies. */
export function objectPath(repo: Path, id: ObjectId): Path {
  // Digits are the bytes that they are: nothing to encode, for any of ten thousands of objects.
  return childPath(repo, `objects/${objectName(id)}` as ByteString);
}

/** What a link in `streams/` or `images/` says to reach the object `id`. */
export function objectLinkTarget(id: ObjectId): ByteString {
  return fromText(`../objects/${objectName(id)}`);
}

/** The object that a link in `streams/` or `images/` reaches; undefined when it says something else. */
export function linkedObject(target: ByteString): ObjectId | undefined {
  const match = /^\.\.\/objects\/([0-9a-f]{2})\/([0-9a-f]{62}|[0-9a-f]{126})$/.exec(target);
  return match === null ? undefined : (`${match[1]}${match[2]}` as ObjectId);
}

/** The directory of links to splitstreams, by content id. */
export function streamsPath(repo: Path): Path {
  return pathBelow(repo, "streams");
}

/** The directory of links to root images, by object id. */
export function imagesPath(repo: Path): Path {
  return pathBelow(repo, "images");
}

/** The directory where runs keep what is not published yet, each in a directory of its own. Not known to composefs-rs. */
export function stagingPath(repo: Path): Path {
  return pathBelow(repo, "staging");
}

/** The directory of tags for OCI images, below the directory of all references to streams. */
export function ociTagsPath(repo: Path): Path {
  return pathBelow(streamsPath(repo), "refs/oci");
}

/** The longest file name that Linux takes. */
const nameLimit = 255;

/**
 * The file name of the tag `tag`: `%` and `/` escaped, nothing else, as composefs-rs does it.
 *
 * @throws OsdeployError `usage` when it is empty, has a NUL, is `.` or `..`, or gets longer than 255 bytes.
 */
export function tagFileName(tag: string): ByteString {
  const name = fromText(tag.replaceAll("%", "%25").replaceAll("/", "%2F"));
  if (name === "" || name === "." || name === ".." || name.includes("\0") || name.length > nameLimit) {
    throw new OsdeployError(
      "usage",
      `Cannot use "${tag.slice(0, 300)}" as a tag: it is no file name of 1 to ${nameLimit} bytes`,
    );
  }
  return name;
}

/** The tag that the file name `name` stands for. Escapes that composefs-rs does not make stay as they are. */
export function tagOfFileName(name: ByteString): string {
  return toText(name).replaceAll("%2F", "/").replaceAll("%25", "%");
}
