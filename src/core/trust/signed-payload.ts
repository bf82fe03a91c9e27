import { OsdeployError } from "../errors.ts";
import { parseDocument } from "../oci/json.ts";
import { entriesOf, type JsonPlace, member, textOf } from "../oci/json-place.ts";
import { onlyKeys } from "./only-keys.ts";

/** What a signature is about. */
export interface SignedPayload {
  readonly manifestDigest: string;
  readonly dockerReference: string;
}

/** The kinds of payloads: that of simple signing, and that of cosign. */
export const payloadTypes = {
  simple: "atomic container signature",
  cosign: "cosign container image signature",
} as const;

/**
 * Reads the JSON that a signature covers. To be called only after the signature was checked. Strict, for two readers must
 * not see two meanings; only in `optional` may there be anything.
 *
 * @throws OsdeployError `bad-format`.
 * @see https://github.com/containers/container-libs/blob/main/image/docs/containers-signature.5.md
 */
export function parseSignedPayload(bytes: Uint8Array, type: keyof typeof payloadTypes): SignedPayload {
  const document = parseDocument(bytes, "the signed statement");
  onlyKeys(document, ["critical", "optional"]);
  checkOptional(document, type);
  const critical = member(document, "critical");
  onlyKeys(critical, ["type", "image", "identity"]);
  if (textOf(member(critical, "type")) !== payloadTypes[type]) {
    throw new OsdeployError("bad-format", "Cannot read the signed statement: it is of another type");
  }
  return {
    manifestDigest: textOf(onlyMember(member(critical, "image"), "docker-manifest-digest")),
    dockerReference: textOf(onlyMember(member(critical, "identity"), "docker-reference")),
  };
}

function onlyMember(place: JsonPlace, key: string): JsonPlace {
  onlyKeys(place, [key]);
  return member(place, key);
}

/** cosign 2 writes null; the other type needs an object. */
function checkOptional(document: JsonPlace, type: keyof typeof payloadTypes): void {
  const [, value] = entriesOf(document).find(([key]) => key === "optional") ?? [];
  if (type === "cosign" && (value === undefined || value.value === null)) return;
  entriesOf(value ?? member(document, "optional"));
}
