import { OsdeployError } from "../errors.ts";

/** A value in a JSON document, with where it stands, so that errors can say so. */
export interface JsonPlace {
  /** The document, as in `manifest sha256:…`. */
  readonly document: string;
  /** Where in it, as in `layers[2].size`; empty for the whole. */
  readonly path: string;
  readonly value: unknown;
}

/** Documents are small; what a registry puts in one text of them has no reason to be long. */
const textLimit = 64 * 1024;

/** The error that this value makes its document unusable. */
export function badPlace(place: JsonPlace, state: string): OsdeployError {
  const where = place.path === "" ? "it" : place.path;
  return new OsdeployError("bad-format", `Cannot read ${place.document}: ${where} ${state}`);
}

/**
 * The value of `key`; JSON null counts as missing, as the tools that write these documents do it.
 *
 * @throws OsdeployError `bad-format` when another key differs from it in case alone: programs in Go take either of both.
 */
export function optional(place: JsonPlace, key: string): JsonPlace | undefined {
  const fields = objectOf(place);
  const other = Object.keys(fields).find((each) => isOtherSpelling(each, key));
  if (other !== undefined) throw badPlace(place, `has the key ${JSON.stringify(other)}, which some read as "${key}"`);
  const value = Object.hasOwn(fields, key) ? fields[key] : undefined;
  if (value === undefined || value === null) return undefined;
  return { document: place.document, path: place.path === "" ? key : `${place.path}.${key}`, value };
}

function isOtherSpelling(one: string, other: string): boolean {
  return one !== other && one.length === other.length && folded(one) === folded(other);
}

/** As Go compares keys: the long s is an S, and the sign for Kelvin a K. */
function folded(key: string): string {
  return key.toUpperCase().toLowerCase();
}

/** @throws OsdeployError `bad-format` when there is no value of `key`. */
export function member(place: JsonPlace, key: string): JsonPlace {
  const found = optional(place, key);
  if (found === undefined) throw badPlace(place, `has no ${JSON.stringify(key)}`);
  return found;
}

/** @throws OsdeployError `bad-format` when it is no array, `limit-exceeded` when it has more than `limit` members. */
export function arrayOf(place: JsonPlace, limit: number): readonly JsonPlace[] {
  if (!Array.isArray(place.value)) throw badPlace(place, "is not an array");
  const { document, path, value } = place;
  if (value.length > limit) {
    throw new OsdeployError(
      "limit-exceeded",
      `Cannot read ${document}: ${path || "it"} has more than ${limit} members`,
    );
  }
  return value.map((each: unknown, index) => ({ document, path: `${path}[${index}]`, value: each }));
}

/** Keys and values of an object, in the order of the document. */
export function entriesOf(place: JsonPlace): readonly (readonly [string, JsonPlace])[] {
  const { document, path } = place;
  return Object.entries(objectOf(place)).map(([key, value]) => [
    key,
    { document, path: `${path}.${key.slice(0, 80)}`, value },
  ]);
}

/** @throws OsdeployError `bad-format` when it is no text, `limit-exceeded` when it is longer than 64 Ki characters. */
export function textOf(place: JsonPlace): string {
  if (typeof place.value !== "string") throw badPlace(place, "is not text");
  if (place.value.length > textLimit) {
    throw new OsdeployError("limit-exceeded", `Cannot read ${place.document}: ${place.path} is too long`);
  }
  return place.value;
}

/**
 * The texts of an object whose keys people choose: labels, annotations. null counts as empty, as for Go programs, and a text
 * may be as long as its document: some keep whole lists of packages there.
 */
export function textsByKey(place: JsonPlace): ReadonlyMap<string, string> {
  return new Map(
    entriesOf(place).map(([key, each]) => {
      const text = each.value ?? "";
      if (typeof text !== "string") throw badPlace(each, "is not text");
      return [key, text];
    }),
  );
}

/** The text of an optional member; undefined when it is missing or empty, which Go programs write for "not set". */
export function optionalText(place: JsonPlace, key: string): string | undefined {
  const found = optional(place, key);
  return found === undefined ? undefined : textOf(found) || undefined;
}

/** A size in bytes: a whole number from 0 to 2^53 - 1. */
export function safeSizeOf(place: JsonPlace): number {
  const { value } = place;
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 0) throw badPlace(place, "is not a size");
  return value;
}

/** The digest at this place, by one of the parsers of `core/digest`. */
export function digestOf<T>(place: JsonPlace, parse: (text: string) => T): T {
  const text = textOf(place);
  try {
    return parse(text);
  } catch (cause) {
    const state = `${JSON.stringify(text.slice(0, 160))} is not a digest: sha256: or sha512: and lower-case hex`;
    throw new OsdeployError("bad-format", `Cannot read ${place.document}: ${place.path} ${state}`, { cause });
  }
}

function objectOf(place: JsonPlace): Readonly<Record<string, unknown>> {
  const { value } = place;
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw badPlace(place, "is not an object");
  return value as Readonly<Record<string, unknown>>;
}
