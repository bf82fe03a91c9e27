import { parse, stringify } from "ini";
import type { Origin } from "../core/deployment/deployment.ts";
import { parseManifestDigest } from "../core/digest/oci-digest.ts";
import { OsdeployError } from "../core/errors.ts";

/** bootc's prefix for an image whose signature ostree does not check itself; kept so that bootc can read the file. */
const bootcPrefix = "ostree-unverified-image:";

/**
 * Reads an origin file, `<root image>.origin` in a state directory: ours or one of bootc's.
 *
 * @throws OsdeployError `bad-format` when a part is missing or malformed.
 */
export function parseOrigin(text: string): Origin {
  const sections: unknown = parse(text);
  const reference = stringAt(sections, "origin", "container-image-reference");
  const bootDigest = stringAt(sections, "boot", "digest");
  if (!/^[0-9a-f]{64}$/.test(bootDigest)) {
    throw new OsdeployError("bad-format", `Cannot read the origin file: "${bootDigest}" is no boot digest`);
  }
  return {
    imageReference: reference.startsWith(bootcPrefix) ? reference.slice(bootcPrefix.length) : reference,
    manifestDigest: parseManifestDigest(stringAt(sections, "image", "manifest_digest")),
    bootDigest,
    verifiedBy: textsAt(sections, "verified-by"),
    sealedBy: textsAt(sections, "sealed-by"),
  };
}

/** Ours alone: bootc passes over sections that it does not know. What cannot be read counts as not verified. */
function textsAt(sections: unknown, key: string): readonly string[] {
  const text = field(field(sections, "osdeploy"), key);
  if (typeof text !== "string") return [];
  try {
    const names: unknown = JSON.parse(text);
    return Array.isArray(names) ? names.filter((name) => typeof name === "string") : [];
  } catch {
    return [];
  }
}

function stringAt(sections: unknown, section: string, key: string): string {
  const table = field(sections, section);
  const value = field(table, key);
  if (typeof value !== "string" || value === "") {
    throw new OsdeployError("bad-format", `Cannot read the origin file: [${section}] ${key} is missing`);
  }
  return value;
}

function field(value: unknown, key: string): unknown {
  return typeof value === "object" && value !== null && Object.hasOwn(value, key)
    ? (value as Readonly<Record<string, unknown>>)[key]
    : undefined;
}

/**
 * The text of an origin file.
 *
 * @throws OsdeployError `bad-format` when the values would not read back the same: ini gives some characters a meaning.
 */
export function formatOrigin(origin: Origin): string {
  const ours = {
    ...(origin.verifiedBy.length > 0 && { "verified-by": JSON.stringify(origin.verifiedBy) }),
    ...(origin.sealedBy.length > 0 && { "sealed-by": JSON.stringify(origin.sealedBy) }),
  };
  const text = stringify({
    origin: { "container-image-reference": bootcPrefix + origin.imageReference },
    boot: { boot_type: "bls", digest: origin.bootDigest },
    image: { manifest_digest: origin.manifestDigest },
    ...(Object.keys(ours).length > 0 && { osdeploy: ours }),
  });
  const back = parseOrigin(text);
  if (
    back.imageReference !== origin.imageReference ||
    JSON.stringify(back.verifiedBy) !== JSON.stringify(origin.verifiedBy) ||
    JSON.stringify(back.sealedBy) !== JSON.stringify(origin.sealedBy)
  ) {
    throw new OsdeployError(
      "bad-format",
      `Cannot write the origin file: "${origin.imageReference}" does not survive it`,
    );
  }
  return text;
}
