import { fromText } from "../core/bytes/byte-string.ts";
import type { ManifestDigest } from "../core/digest/oci-digest.ts";
import { OsdeployError } from "../core/errors.ts";
import type { RegistryName } from "../core/oci/registry-name.ts";
import type { FoundSignature } from "../core/trust/judge-image.ts";
import type { LinuxFiles } from "../linux/linux.ts";
import { readConfiguration } from "./configuration-file.ts";

/** What podman accepts of one image. */
const signatureLimit = 128;
const signatureLimitBytes = 4 * 1024 * 1024;

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
    if (number > signatureLimit) {
      throw new OsdeployError(
        "limit-exceeded",
        `Cannot read signatures from ${base}: there are over ${signatureLimit}`,
      );
    }
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

function pathOf(base: string, pathname: string): string {
  try {
    return decodeURIComponent(pathname);
  } catch {
    throw unusable(base);
  }
}

function unusable(base: string): OsdeployError {
  return new OsdeployError("bad-format", `Cannot read signatures from ${JSON.stringify(base)}: it is no such address`);
}
