import type { ObjectId, VerityAlgorithm } from "../digest/object-id.ts";
import { OsdeployError } from "../errors.ts";

/** The root images that were made of an image; `boot` only where it was asked for. */
export interface MadeRootImages {
  readonly raw: ObjectId;
  readonly boot: ObjectId | undefined;
}

/** What the annotations of a manifest call each root image; the algorithm comes behind it. */
const annotationsOf: Readonly<Record<keyof MadeRootImages, string>> = {
  raw: "composefs.merged.erofs.v1.fsverity-",
  boot: "composefs.merged.bootable.erofs.v1.fsverity-",
};

/**
 * Compares the root images that were made with those that the image promises in its annotations, if it does, for this
 * algorithm: who built the image computed them there, and may have signed the manifest that holds them.
 *
 * @throws OsdeployError `digest-mismatch` when one is not as promised.
 * @see https://github.com/composefs/composefs-rs (the draft on sealing, in its documentation)
 */
export function checkPromisedDigests(
  annotations: ReadonlyMap<string, string>,
  algorithm: VerityAlgorithm,
  made: MadeRootImages,
): void {
  for (const kind of ["raw", "boot"] as const) {
    const key = `${annotationsOf[kind]}${algorithm}-12`;
    const [promised, found] = [annotations.get(key), made[kind]];
    if (promised === undefined || found === undefined || promised === found) continue;
    throw new OsdeployError(
      "digest-mismatch",
      `Cannot use this image: its root image is not the one that its annotation ${key} promises`,
      { facts: { promised: promised.slice(0, 200), found } },
    );
  }
}
