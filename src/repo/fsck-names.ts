import { fromText, toText } from "../core/bytes/byte-string.ts";
import type { ObjectId } from "../core/digest/object-id.ts";
import type { Path } from "../linux/linux.ts";
import { childPath } from "../linux/path.ts";
import type { FsckProblems, Keeper } from "./fsck-report.ts";
import type { StreamLink } from "./fsck-streams.ts";
import { readLinkIfExists } from "./name-link.ts";
import type { ObjectGraph, Role, Root } from "./object-graph.ts";
import { readDirectoryIfExists } from "./object-listing.ts";
import { rootOf } from "./plan-gc.ts";
import { describeReference, listReferences } from "./references.ts";
import type { Repo } from "./repo.ts";
import { imagesPath, linkedObject, objectPath, streamsPath } from "./repo-paths.ts";
import { isTemporaryName } from "./temporary-name.ts";

/** A name that keeps objects, and what it names. */
interface Named {
  readonly name: string;
  readonly root: Root;
}

interface NamedByLink extends Named {
  readonly path: Path;
}

/** What the check of names needs to know. */
interface NameCheck {
  readonly graph: ObjectGraph;
  readonly deployments: ReadonlyMap<string, ObjectId>;
  readonly existing: ReadonlySet<ObjectId>;
}

/** Checks everything in `streams/` and `images/`, and all that it refers to. Says who keeps what. */
export function checkNames(
  repo: Repo,
  check: NameCheck,
  problems: FsckProblems,
): { readonly streamLinks: readonly StreamLink[]; readonly images: number; readonly keepers: readonly Keeper[] } {
  const streams = checkLinks(repo, { role: "stream", directory: streamsPath(repo.path) }, problems);
  const images = checkLinks(repo, { role: "image", directory: imagesPath(repo.path) }, problems);
  const references = checkReferences(repo, problems);
  const deployments = [...check.deployments].map(([name, id]): Named => ({ name, root: { role: "image", id } }));
  const keepers = [...references, ...images, ...deployments];
  const reached = check.graph.reachable([...keepers, ...streams].map(({ root }) => root));
  for (const root of reached) checkRoot(repo, { root, check }, problems);
  for (const deployment of deployments) checkDeployment(repo, deployment, problems);
  return {
    streamLinks: streams.map(({ path, root }) => ({ path, id: root.id })),
    images: images.length,
    keepers: keepers.map((named) => keeperOf(named, check.graph)),
  };
}

/** Checks the first-level links of one directory, and returns those that lead to an object. */
function checkLinks(
  repo: Repo,
  place: { readonly role: Role; readonly directory: Path },
  problems: FsckProblems,
): readonly NamedByLink[] {
  const good: NamedByLink[] = [];
  for (const name of readDirectoryIfExists(repo.files, place.directory)) {
    if (name === "refs") continue;
    const path = childPath(place.directory, name);
    const link = readLinkIfExists(repo.files, path);
    const id = link === undefined ? undefined : linkedObject(link);
    if (isTemporaryName(name)) {
      problems.add({ kind: "leftover", path, message: "a run that stopped in the middle left it; gc removes it" });
    } else if (id === undefined) {
      problems.add({ kind: "stray-file", path, message: "it is no link to an object; gc leaves it alone" });
    } else if (repo.files.lstatIfExists(objectPath(repo.path, id)) === undefined) {
      problems.add({ kind: "link-dangling", path, object: id, message: `it leads to ${id}, which is not there` });
    } else if (place.role === "image" && name !== (id as string)) {
      problems.add({ kind: "link-wrong", path, object: id, message: `it leads to ${id}` });
    } else {
      good.push({ name: `${place.role}s/${toText(name)}`, root: { role: place.role, id }, path });
    }
  }
  return good;
}

function checkReferences(repo: Repo, problems: FsckProblems): readonly Named[] {
  return listReferences(repo).flatMap((reference): readonly Named[] => {
    const { path } = reference;
    const name = describeReference(reference);
    const root = rootOf(repo, reference);
    if (root !== undefined) return [{ name, root }];
    if (isTemporaryName(path.slice(path.lastIndexOf("/") + 1))) {
      problems.add({ kind: "leftover", path, message: "a run that stopped in the middle left it; gc removes it" });
    } else if (reference.target === undefined) {
      problems.add({ kind: "stray-file", path, message: "it is no reference; gc leaves it alone" });
    } else {
      const message = `it leads to ${toText(reference.target)}, which is not there`;
      problems.add({ kind: "reference-dangling", path, message, hits: [name] });
    }
    return [];
  });
}

/** A boot finds a root image by its name in `images/` alone. Where its object is gone too, that is the problem. */
function checkDeployment(repo: Repo, { name, root: { id } }: Named, problems: FsckProblems): void {
  const path = childPath(imagesPath(repo.path), fromText(id));
  const isThere = (place: Path) => repo.files.lstatIfExists(place) !== undefined;
  if (isThere(path) || !isThere(objectPath(repo.path, id))) return;
  const message = "a deployment starts from it, and the link is not there";
  problems.add({ kind: "reference-dangling", path, message, hits: [name] });
}

/** Checks that what `root` names can be read, and that all it refers to exists. */
function checkRoot(repo: Repo, at: { readonly root: Root; readonly check: NameCheck }, problems: FsckProblems): void {
  const { root, check } = at;
  const path = objectPath(repo.path, root.id);
  const references = check.graph.references(root);
  if (references.kind === "missing") {
    problems.add({ kind: "object-missing", path, object: root.id, message: `the ${root.role} is not there` });
  } else if (references.kind === "unreadable") {
    const kind = root.role === "stream" ? "stream-unreadable" : "image-unreadable";
    problems.add({ kind, path, object: root.id, message: references.error.message });
  } else {
    for (const id of references.objects) {
      // Not listed, and there all the same: a pull that runs beside the check has just brought it.
      if (check.existing.has(id) || repo.files.lstatIfExists(objectPath(repo.path, id)) !== undefined) continue;
      const message = `the ${root.role} ${root.id} refers to it`;
      problems.add({ kind: "object-missing", path: objectPath(repo.path, id), object: id, message });
    }
  }
}

function keeperOf({ name, root }: Named, graph: ObjectGraph): Keeper {
  const needs = new Set<ObjectId>();
  for (const reached of graph.reachable([root])) {
    needs.add(reached.id);
    const references = graph.references(reached);
    if (references.kind === "read") for (const id of references.objects) needs.add(id);
  }
  return { name, needs };
}
