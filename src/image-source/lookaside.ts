import { fromText, toText } from "../core/bytes/byte-string.ts";
import { sha256Of } from "../core/digest/blob-hasher.ts";
import type { ManifestDigest } from "../core/digest/oci-digest.ts";
import { OsdeployError } from "../core/errors.ts";
import type { RegistryName } from "../core/oci/registry-name.ts";
import type { FoundSignature } from "../core/trust/judge-image.ts";
import type { LinuxFiles } from "../linux/linux.ts";
import { makeDirectories } from "../linux/make-directories.ts";
import { readConfiguration } from "./configuration-file.ts";

/** As many signatures of one image podman accepts. */
export const signatureLimit = 128;
/** So large may one be, as podman has it. */
export const signatureLimitBytes: number = 4 * 1024 * 1024;

/** Gets the bytes at an address; undefined where there is nothing (404). */
export type ReadAddress = (address: URL, limitBytes: number) => Promise<Uint8Array | undefined>;

/**
 * The signatures of an image in a lookaside store, `BASE/REPOSITORY@sha256=HEX/signature-N`, from 1 until one is missing.
 *
 * @throws OsdeployError when one cannot be read: that is not the same as missing.
 * @see https://github.com/containers/container-libs/blob/main/image/docs/signature-protocols.md
 */
export async function findInLookaside(
  files: LinuxFiles,
  base: string,
  { name, digest, read }: { readonly name: RegistryName; readonly digest: ManifestDigest; readonly read: ReadAddress },
): Promise<readonly FoundSignature[]> {
  if (!URL.canParse(base)) throw unusable(base);
  const { protocol, href, pathname } = new URL(base);
  const folder = `${name.repository}@${digest.replace(":", "=")}`;
  const found: FoundSignature[] = [];
  for (let number = 1; ; number++) {
    const bytes = await readOne(`${folder}/signature-${number}`);
    if (bytes === undefined) return found;
    if (number > signatureLimit) throw tooMany(`read signatures from ${base}`);
    found.push({ kind: "simple-signing", message: bytes });
  }

  async function readOne(path: string): Promise<Uint8Array | undefined> {
    if (protocol === "file:") {
      return readConfiguration(files, fromText(`${pathOf(base, pathname)}/${path}`));
    }
    if (protocol !== "http:" && protocol !== "https:") throw unusable(base);
    return read(new URL(`${href.replace(/\/$/, "")}/${path}`), signatureLimitBytes);
  }
}

/**
 * Puts signatures into a lookaside store on this machine, behind those that are there; one that is there already stays as it
 * is.
 *
 * @throws OsdeployError `unsupported` for a store that is not on this machine: the web can only be read. `limit-exceeded`
 * where there would be more than anybody reads; nothing is written then.
 */
export function addToLookaside(
  files: LinuxFiles,
  base: string,
  work: {
    readonly name: RegistryName;
    readonly digest: ManifestDigest;
    readonly messages: readonly Uint8Array[];
  },
): void {
  if (!URL.canParse(base) || new URL(base).protocol !== "file:") {
    throw new OsdeployError("unsupported", `Cannot write signatures to ${base}: it can only be read`, {
      facts: { hint: "Name a lookaside-staging in registries.d, or leave the signatures with --remove-signatures" },
    });
  }
  const folder = `${pathOf(base, new URL(base).pathname)}/${work.name.repository}@${work.digest.replace(":", "=")}`;
  const pathOfNumber = (number: number) => fromText(`${folder}/signature-${number}`);
  const known = new Set<string>();
  let number = 1;
  for (; number <= signatureLimit; number++) {
    const bytes = readConfiguration(files, pathOfNumber(number));
    if (bytes === undefined) break;
    known.add(sha256Of(bytes));
  }
  const missing = work.messages.filter((message) => !known.has(sha256Of(message)));
  if (number - 1 + missing.length > signatureLimit) throw tooMany(`add signatures to ${base}`);
  makeDirectories(files, fromText(""), folder);
  for (const message of missing) {
    const path = pathOfNumber(number++);
    // A reader takes whatever has the name.
    const unfinished = fromText(`${toText(path)}.new`);
    if (files.lstatIfExists(unfinished) !== undefined) files.unlink(unfinished);
    files.writeNewFile(unfinished, message, 0o644);
    files.rename(unfinished, path);
  }
}

function pathOf(base: string, pathname: string): string {
  try {
    return decodeURIComponent(pathname);
  } catch {
    throw unusable(base);
  }
}

/** Nobody reads an image that has more, so that one too many would make all of them worthless. */
function tooMany(action: string): OsdeployError {
  return new OsdeployError("limit-exceeded", `Cannot ${action}: there are over ${signatureLimit}`);
}

function unusable(base: string): OsdeployError {
  return new OsdeployError("bad-format", `Cannot read signatures from ${JSON.stringify(base)}: it is no such address`);
}
