import type { ObjectId } from "../core/digest/object-id.ts";
import { showPath } from "../linux/errno.ts";
import type { Path } from "../linux/linux.ts";

/** What can be wrong with a repo. The names are stable: scripts match them. */
export type FsckKind =
  /** There is no meta.json: composefs-rs before 0.7 made the repo. A note, not an error. */
  | "meta-missing"
  /** meta.json does not have the content that was sealed. */
  | "meta-damaged"
  /** An object's bytes are not those its name says. */
  | "object-damaged"
  /** An object cannot be read. */
  | "object-unreadable"
  /** An object of a secure repo has no seal. */
  | "object-unsealed"
  /** A stream, root image or deployment needs an object that is not there. */
  | "object-missing"
  /** A splitstream cannot be parsed. */
  | "stream-unreadable"
  /** A layer, manifest, config or blob is not the one that its name says, though all its objects are right. */
  | "stream-mismatch"
  /** A root image cannot be parsed. */
  | "image-unreadable"
  /** A link in `images/` leads to an object of another name than its own. */
  | "link-wrong"
  /** A link in `streams/` or `images/` leads to an object that is not there. */
  | "link-dangling"
  /** A tag, another reference or a deployment leads nowhere. */
  | "reference-dangling"
  /** What no program that we know put there. A note, not an error. */
  | "stray-file"
  /** What a run that stopped in the middle left behind. A note, not an error: gc removes it. */
  | "leftover";

const notes: ReadonlySet<FsckKind> = new Set(["meta-missing", "stray-file", "leftover"]);

/** One thing that is wrong. */
export interface FsckProblem {
  readonly kind: FsckKind;
  readonly severity: "error" | "note";
  /** Relative to the repo, shown as text. */
  readonly path: string;
  /** The object that is damaged or missing, where it is about one. */
  readonly object: ObjectId | null;
  readonly message: string;
  /** The tags, references, root images (`images/…`) and deployments that need the object or are the name itself. */
  readonly hits: readonly string[];
  /** Files of root images whose content the object is, by their paths from the root; some, where there are very many. */
  readonly files: readonly string[];
}

/** What a check found; the value of `fsck --json`. */
export interface FsckReport {
  /** Whether there is no problem of severity "error". */
  readonly ok: boolean;
  readonly objects: number;
  readonly objectBytes: number;
  readonly streams: number;
  readonly images: number;
  readonly problems: readonly FsckProblem[];
}

/** Something that keeps objects, by the name it is reported with. */
export interface Keeper {
  readonly name: string;
  readonly needs: ReadonlySet<ObjectId>;
}

interface FoundProblem {
  readonly kind: FsckKind;
  readonly path: Path;
  readonly object?: ObjectId;
  readonly message: string;
  /** Who is hit besides those that need `object`. */
  readonly hits?: readonly string[];
}

/** Gathers problems; who is hit is known only at the end. */
export class FsckProblems {
  readonly #repoPath: Path;
  readonly #found = new Map<string, FoundProblem>();
  readonly #objects = new Set<ObjectId>();

  constructor(repoPath: Path) {
    this.#repoPath = repoPath;
  }

  /** One problem of each kind for each path: an object that many need and nobody has is one problem. */
  add(problem: FoundProblem): void {
    const key = `${problem.kind} ${problem.path}`;
    if (!this.#found.has(key)) this.#found.set(key, problem);
    if (problem.object !== undefined) this.#objects.add(problem.object);
  }

  /** The objects that are damaged or missing. */
  get objects(): ReadonlySet<ObjectId> {
    return this.#objects;
  }

  /** Whether there is already a problem with the object. */
  knows(object: ObjectId): boolean {
    return this.#objects.has(object);
  }

  /** The value of the whole check. */
  report(
    totals: Pick<FsckReport, "objects" | "objectBytes" | "streams" | "images"> & {
      readonly hits: readonly Keeper[];
      readonly files: ReadonlyMap<ObjectId, readonly string[]>;
    },
  ): FsckReport {
    const { hits: keepers, files, ...counts } = totals;
    const problems = [...this.#found.values()].map((problem) => this.#finish(problem, keepers, files));
    return { ok: problems.every(({ severity }) => severity === "note"), ...counts, problems };
  }

  #finish(
    problem: FoundProblem,
    keepers: readonly Keeper[],
    files: ReadonlyMap<ObjectId, readonly string[]>,
  ): FsckProblem {
    const { object } = problem;
    const hit = object === undefined ? [] : keepers.filter(({ needs }) => needs.has(object)).map(({ name }) => name);
    return {
      kind: problem.kind,
      severity: notes.has(problem.kind) ? "note" : "error",
      path: showPath(problem.path.slice(this.#repoPath.length + 1) as Path),
      object: object ?? null,
      message: problem.message,
      hits: [...new Set([...(problem.hits ?? []), ...hit])],
      files: object === undefined ? [] : (files.get(object) ?? []),
    };
  }
}
