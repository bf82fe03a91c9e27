import type { ObjectId } from "../core/digest/object-id.ts";
import type { Path } from "../linux/linux.ts";
import type { StagedObject } from "./object-staging.ts";

/**
 * Staged objects as columns: plain data that one thread hands to another. A layer has ten thousands of objects, and as
 * many values would cost both threads more than the names of the objects do.
 */
export interface StagedObjects {
  readonly parts: readonly StagedPart[];
}

interface StagedPart {
  /** The ids, all of one length, one behind the other. */
  readonly ids: string;
  /** The paths, one behind the other, and where each ends. */
  readonly paths: string;
  readonly pathEnds: Uint32Array;
  readonly sizes: Float64Array;
  /** 1 for each object that replaces a damaged one. */
  readonly replaces: Uint8Array;
}

/** A string can hold 512 MB: the ids of four million objects. */
const defaultPartObjects = 65_536;

/** Packs objects, `partObjects` of them together. */
export function packStaged(objects: readonly StagedObject[], partObjects = defaultPartObjects): StagedObjects {
  const parts: StagedPart[] = [];
  for (let at = 0; at < objects.length; at += partObjects) parts.push(packPart(objects.slice(at, at + partObjects)));
  return { parts };
}

function packPart(objects: readonly StagedObject[]): StagedPart {
  let end = 0;
  return {
    ids: objects.map(({ id }) => id).join(""),
    paths: objects.map(({ path }) => path).join(""),
    pathEnds: Uint32Array.from(objects, ({ path }) => {
      end += path.length;
      return end;
    }),
    sizes: Float64Array.from(objects, ({ sizeBytes }) => sizeBytes),
    replaces: Uint8Array.from(objects, ({ replaces }) => (replaces ? 1 : 0)),
  };
}

/** How many objects there are. */
export function countStaged({ parts }: StagedObjects): number {
  return parts.reduce((sum, { sizes }) => sum + sizes.length, 0);
}

/** The objects one by one, in the order in which they were packed. */
export function* unpackStaged({ parts }: StagedObjects): IterableIterator<StagedObject> {
  for (const part of parts) {
    const idLength = part.ids.length / part.sizes.length;
    for (const [index, sizeBytes] of part.sizes.entries()) {
      const id: string = part.ids.slice(index * idLength, (index + 1) * idLength);
      yield { id: id as ObjectId, path: pathAt(part, index), sizeBytes, replaces: part.replaces[index] === 1 };
    }
  }
}

/** Where the object `id` is staged; undefined when it is not among `objects`. Looks through all of them. */
export function stagedPathOf({ parts }: StagedObjects, id: ObjectId): Path | undefined {
  for (const part of parts) {
    let at = part.ids.indexOf(id);
    // The end of one id and the beginning of the next can look like a third.
    while (at >= 0 && at % id.length !== 0) at = part.ids.indexOf(id, at + 1);
    if (at >= 0) return pathAt(part, at / id.length);
  }
  return undefined;
}

function pathAt({ paths, pathEnds }: StagedPart, index: number): Path {
  const start = index === 0 ? 0 : pathEnds[index - 1];
  return paths.slice(start, pathEnds[index]) as Path;
}
