import { OsdeployError } from "../errors.ts";
import { entriesOf, type JsonPlace } from "../oci/json-place.ts";

/** @throws OsdeployError `bad-format` when an object has a key that is not one of `known`. */
export function onlyKeys(place: JsonPlace, known: readonly string[]): void {
  for (const [key] of entriesOf(place)) {
    if (known.includes(key)) continue;
    throw new OsdeployError(
      "bad-format",
      `Cannot read ${place.document}: ${place.path || "it"} has the unknown key ${JSON.stringify(key.slice(0, 80))}`,
    );
  }
}
