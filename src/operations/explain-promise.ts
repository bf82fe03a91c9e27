import { verityDigest } from "../core/digest/fs-verity.ts";
import type { ObjectId, VerityAlgorithm } from "../core/digest/object-id.ts";
import { writeErofs } from "../core/erofs/writer.ts";
import { unlessFailing } from "../core/errors.ts";
import type { PromisedDigest, PromisedSubject } from "../core/trust/promised-digests.ts";
import { multiBufferHasher } from "../linux/multi-buffer-hasher.ts";
import type { StoredImage } from "./find-image.ts";
import type { ImageTrees, TreeName } from "./image-trees.ts";

/** A root image that was made to find out what a promise was computed from. */
export interface TriedRootImage {
  readonly tree: TreeName;
  readonly formatVersion: 0 | 1;
  readonly algorithm: VerityAlgorithm;
  readonly digest: ObjectId;
  readonly matches: boolean;
}

/** One promise, and what became of it here. */
export interface ExplainedPromise {
  readonly source: string;
  readonly subject: PromisedSubject;
  readonly promised: string;
  /** What was made instead, or as well; null where osdeploy makes nothing of the kind. */
  readonly made: ObjectId | null;
  readonly verdict: "holds" | "broken" | "not-compared";
  /** Only for promises of root images that do not hold: all that was tried. */
  readonly tried: readonly TriedRootImage[];
}

/** Digests of what an image gives. Each is made once, however many promises ask for it: a root image takes seconds. */
export class MadeDigests {
  readonly #image: StoredImage;
  readonly #trees: ImageTrees;
  readonly #made = new Map<string, ObjectId | undefined>();

  constructor(image: StoredImage, trees: ImageTrees) {
    this.#image = image;
    this.#trees = trees;
  }

  /** The id of a root image; undefined where the image has no such tree, or the format cannot hold it. */
  rootImage(choice: RootImageChoice): ObjectId | undefined {
    const { tree, formatVersion, algorithm } = choice;
    return this.#once(`${tree} ${formatVersion} ${algorithm}`, () => rootImageOf(this.#trees, choice));
  }

  document(subject: "config" | "manifest", algorithm: VerityAlgorithm): ObjectId | undefined {
    const { configBytes, manifestBytes } = this.#image;
    const bytes = subject === "config" ? configBytes : manifestBytes;
    return this.#once(`${subject} ${algorithm}`, () => verityDigest(algorithm, bytes));
  }

  #once(key: string, make: () => ObjectId | undefined): ObjectId | undefined {
    if (!this.#made.has(key)) this.#made.set(key, make());
    return this.#made.get(key);
  }
}

/** Compares a promise with what the image gives, and where it does not hold looks for what it was computed from. */
export function explainPromise(promise: PromisedDigest, digests: MadeDigests): ExplainedPromise {
  const { source, subject, digest: promised, algorithm, formatVersion = 1, blockBytes } = promise;
  const facts = { source, subject, promised };
  if (blockBytes !== 4096 || (formatVersion !== 0 && formatVersion !== 1)) {
    return { ...facts, made: null, verdict: "not-compared", tried: [] };
  }
  const isRootImage = subject === "raw" || subject === "boot";
  const made = isRootImage
    ? digests.rootImage({ tree: subject, formatVersion, algorithm })
    : digests.document(subject, algorithm);
  if (made === promised) return { ...facts, made, verdict: "holds", tried: [] };
  return { ...facts, made: made ?? null, verdict: "broken", tried: isRootImage ? tryAll(promise, digests) : [] };
}

/** Trees, formats and algorithms; what somebody else computes is most likely one of these. */
function tryAll({ digest: promised }: PromisedDigest, digests: MadeDigests): readonly TriedRootImage[] {
  const algorithms = (["sha512", "sha256"] as const).filter((each) => promised.length === lengths[each]);
  return algorithms.flatMap((algorithm) =>
    (["boot", "raw", "merged"] as const).flatMap((tree) =>
      ([1, 0] as const).flatMap((formatVersion) => {
        const digest = digests.rootImage({ tree, formatVersion, algorithm });
        return digest === undefined ? [] : [{ tree, formatVersion, algorithm, digest, matches: digest === promised }];
      }),
    ),
  );
}

/** Digits in hex. */
const lengths: Readonly<Record<VerityAlgorithm, number>> = { sha256: 64, sha512: 128 };

/** Which root image of an image is meant. */
type RootImageChoice = Pick<TriedRootImage, "tree" | "formatVersion" | "algorithm">;

function rootImageOf(trees: ImageTrees, choice: RootImageChoice): ObjectId | undefined {
  const { tree: name, formatVersion: version, algorithm } = choice;
  const tree = trees.tree(name, algorithm);
  if (tree === undefined) return undefined;
  return unlessFailing(() => verityDigest(algorithm, writeErofs(tree, { version }), multiBufferHasher(algorithm)));
}
