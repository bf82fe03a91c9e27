import { type DiffId, type ManifestDigest, parseDiffId, parseManifestDigest } from "../digest/oci-digest.ts";
import { OsdeployError } from "../errors.ts";
import { parseDocument } from "../oci/json.ts";
import { arrayOf, digestOf, type JsonPlace, member, optional } from "../oci/json-place.ts";

/** What the value of `status` is said to be; a reader of another one would misread it. */
export const statusSchemaVersion = 1;

/** A deployment that a host holds, as far as it tells what of an image is there. */
export interface HeldDeployment {
  readonly manifestDigest: ManifestDigest;
  /** The layers that its repo has whole. */
  readonly layers: readonly DiffId[];
}

/** A host has a few; each of them may cost whoever reads this a manifest and the tables of its layers. */
const deploymentLimit = 64;
const layerLimit = 1000;

/**
 * Reads what `osdeploy status --json` printed on a host. Deployments whose layers the host could not tell are left out: what
 * is not known to be there is taken for missing.
 *
 * @throws OsdeployError `bad-format`; `unsupported` when it is no such document, or of another version; `limit-exceeded`.
 */
export function parseHostStatus(bytes: Uint8Array, name: string): readonly HeldDeployment[] {
  const whole = parseDocument(bytes, name);
  if (optional(whole, "schemaVersion")?.value !== statusSchemaVersion) {
    const wanted = `"osdeploy status --json" with schemaVersion ${statusSchemaVersion}`;
    throw new OsdeployError("unsupported", `Cannot use ${name}: it is not what ${wanted} prints`);
  }
  return arrayOf(member(whole, "deployments"), deploymentLimit).flatMap(parseDeployment);
}

function parseDeployment(place: JsonPlace): readonly HeldDeployment[] {
  const digest = optional(place, "manifestDigest");
  const layers = optional(place, "layers");
  if (digest === undefined || layers === undefined) return [];
  return [
    {
      manifestDigest: digestOf(digest, parseManifestDigest),
      layers: arrayOf(layers, layerLimit).map((layer) => digestOf(member(layer, "diffId"), parseDiffId)),
    },
  ];
}
