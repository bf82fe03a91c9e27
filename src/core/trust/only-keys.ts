import { OsdeployError } from "../errors.ts";
import { badPlace, entriesOf, type JsonPlace } from "../oci/json-place.ts";

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

/**
 * The same for a file that people write for others to obey. There null is no way to leave something out: containers/image
 * takes it for a value, and whoever wrote it meant something.
 *
 * @throws OsdeployError `bad-format`, also for a key whose value is null.
 */
export function onlyFilledKeys(place: JsonPlace, known: readonly string[]): void {
  onlyKeys(place, known);
  for (const [, member] of entriesOf(place)) {
    if (member.value === null) throw badPlace(member, "is null; leave it out");
  }
}
