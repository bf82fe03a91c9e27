import { type ByteString, toText } from "../bytes/byte-string.ts";
import { OsdeployError } from "../errors.ts";
import { formatImageReference, type ImageReference, parseImageReference } from "./reference.ts";

/**
 * The text by which a deployment remembers what it follows. Paths in it begin at the root: an upgrade runs in another
 * directory, where a file of that name may be anybody's.
 *
 * @param directory gives the working directory as an absolute path.
 * @throws OsdeployError `usage` when a reference cannot hold the path with that directory in front.
 */
export function formatFollowedReference(reference: ImageReference, directory: () => ByteString): string {
  if (!isRelativeReference(reference)) return formatImageReference(reference);
  const path = joinPath(directory(), reference.path);
  const text = formatImageReference({ ...reference, path });
  const readBack = parseImageReference(text);
  if ("path" in readBack && readBack.path === path) return text;
  const state = `in ${JSON.stringify(toText(path))} there is a colon, or something that is no text`;
  throw new OsdeployError("usage", `Cannot follow ${formatImageReference(reference)}: ${state}`, {
    facts: { hint: "Put it where the whole path has neither, or say what to follow with --target-imgref" },
  });
}

/**
 * Reads what a deployment follows.
 *
 * @throws OsdeployError `usage` when its path is relative, as something else than {@link formatFollowedReference} wrote it:
 * it would lead to whatever is in the working directory.
 */
export function parseFollowedReference(text: string): ImageReference {
  const reference = parseImageReference(text);
  if (!isRelativeReference(reference)) return reference;
  throw new OsdeployError("usage", `Cannot follow ${text}: its path does not begin with a slash`, {
    facts: { hint: "Name the image once more, with its whole path: osdeploy switch IMAGE" },
  });
}

/**
 * Refuses what a machine to be installed cannot follow: a relative path would begin in a directory of this machine.
 *
 * @throws OsdeployError `usage`.
 */
export function checkInstalledReference(reference: ImageReference): void {
  if (!isRelativeReference(reference)) return;
  const text = formatImageReference(reference);
  throw new OsdeployError("usage", `Cannot let a machine follow ${text}: its path does not begin with a slash`, {
    facts: { hint: "Write the path as the installed machine has it, or name an image in a registry" },
  });
}

type PathReference = Extract<ImageReference, { readonly path: ByteString }>;

function isRelativeReference(reference: ImageReference): reference is PathReference {
  return "path" in reference && !reference.path.startsWith("/");
}

/** One place gets one text, but `..` stays: it may come after a symlink. */
function joinPath(directory: ByteString, path: ByteString): ByteString {
  const names = `${directory}/${path}`.split("/").filter((name) => name !== "" && name !== ".");
  return `/${names.join("/")}` as ByteString;
}
