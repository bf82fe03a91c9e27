import { encodeText } from "../core/bytes/utf8.ts";
import { type ObjectId, parseObjectId } from "../core/digest/object-id.ts";
import { readErofsOnDemand } from "../core/erofs/demanded-tree.ts";
import { erofsLimitBytes, readErofs } from "../core/erofs/reader.ts";
import { OsdeployError } from "../core/errors.ts";
import type { Directory, ExternalContent, FileTree, Inode } from "../core/tree/inode.ts";
import { ObjectContent } from "../core/tree/object-content.ts";
import { pathBelow } from "../linux/path.ts";
import { readLinkIfExists } from "./name-link.ts";
import { equalBytes } from "./object-check.ts";
import { readObject } from "./read-object.ts";
import type { Repo } from "./repo.ts";
import { imagesPath, linkedObject, objectPath } from "./repo-paths.ts";
import { readSplitstreamObject } from "./streams.ts";

/** How an object is read in order to find what it refers to. */
export type Role = "stream" | "image";

/** Something that keeps objects: what a tag, a link or a deployment names. */
export interface Root {
  readonly role: Role;
  readonly id: ObjectId;
}

/** What an object refers to when it is read in a role. */
export type References =
  | { readonly kind: "read"; readonly objects: readonly ObjectId[]; readonly roots: readonly Root[] }
  | { readonly kind: "missing" }
  /** It exists, and is not what its role says; or the disk cannot read it. */
  | { readonly kind: "unreadable"; readonly error: OsdeployError };

/**
 * What refers to what in a repo. Each stream and image is read at most once.
 *
 * It goes further than composefs-rs: what a stream names is followed by what it *is*, a stream or a root image, even where
 * the link that would say so is gone. So a collection never leaves a root image behind whose objects it took.
 */
export class ObjectGraph {
  readonly #repo: Repo;
  readonly #known = new Map<string, References>();

  constructor(repo: Repo) {
    this.#repo = repo;
  }

  /** What the object of `root` refers to, directly. */
  references(root: Root): References {
    const key = `${root.role} ${root.id}`;
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const found = this.#read(root);
    this.#known.set(key, found);
    return found;
  }

  /** All roots that can be reached from `start`, `start` among them, each once. */
  reachable(start: readonly Root[]): readonly Root[] {
    const seen = new Map<string, Root>();
    const pending = [...start];
    for (let root = pending.pop(); root !== undefined; root = pending.pop()) {
      const key = `${root.role} ${root.id}`;
      if (seen.has(key)) continue;
      seen.set(key, root);
      const references = this.references(root);
      if (references.kind === "read") pending.push(...references.roots);
    }
    return [...seen.values()];
  }

  #read(root: Root): References {
    if (this.#repo.files.lstatIfExists(objectPath(this.#repo.path, root.id)) === undefined) return { kind: "missing" };
    try {
      return root.role === "image"
        ? { kind: "read", objects: imageObjects(this.#repo, root.id), roots: [] }
        : this.#readStream(root.id);
    } catch (error) {
      if (error instanceof OsdeployError) return { kind: "unreadable", error };
      throw error;
    }
  }

  #readStream(id: ObjectId): References {
    const { objectRefs, streamRefs, namedRefs } = readSplitstreamObject(this.#repo, id);
    const roots = [...namedRefs].flatMap(([name, target]): readonly Root[] => {
      const role = roleOfName(name) ?? roleOfContent(this.#repo, target);
      return role === undefined ? [] : [{ role, id: target }];
    });
    return { kind: "read", objects: [...objectRefs, ...streamRefs], roots };
  }
}

/**
 * What a named ref must be: `sha256:…` a layer, `config:sha256:…` a config, `composefs.image…` a root image. So damage shows
 * as damage, and never as a file that keeps nothing. Undefined for names of other programs.
 */
function roleOfName(name: string): Role | undefined {
  if (/^(config:)?sha(256|512):/.test(name)) return "stream";
  return name.startsWith("composefs.image") ? "image" : undefined;
}

/** Whether the root image `id` has its name in `images/`, by which it is mounted. */
export function hasRootImage(repo: Repo, id: ObjectId): boolean {
  const link = readLinkIfExists(repo.files, pathBelow(imagesPath(repo.path), id));
  return link !== undefined && linkedObject(link) === id;
}

/**
 * Reads the root image `id`.
 *
 * @throws OsdeployError `not-found`; `damaged` when its bytes are not its own; `bad-format` when it is no root image.
 */
export function readRootImage(repo: Repo, id: ObjectId): FileTree {
  return readErofs(readRootImageBytes(repo, id));
}

/**
 * The same for who looks at few directories: each is read when it is asked for its entries, which throws `bad-format` where
 * they are damaged. All bytes are checked here.
 *
 * @throws OsdeployError what {@link readRootImage} throws.
 */
export function openRootImage(repo: Repo, id: ObjectId): FileTree {
  return readErofsOnDemand(readRootImageBytes(repo, id));
}

function readRootImageBytes(repo: Repo, id: ObjectId): Uint8Array {
  return readObject(repo, id, erofsLimitBytes);
}

/** The bytes of the root image `id` as the disk has them, which nobody checks: for hints. @throws OsdeployError `not-found`. */
export function readUncheckedRootImage(repo: Repo, id: ObjectId): Uint8Array {
  return repo.files.readFile(objectPath(repo.path, id), erofsLimitBytes);
}

/**
 * The objects that hold the files of the root image `id`, each once.
 *
 * @throws OsdeployError `not-found`; `bad-format` when it is no root image, or names objects of another algorithm.
 */
export function imageObjects(repo: Repo, id: ObjectId): readonly ObjectId[] {
  const objects = new Set<ObjectId>();
  const collect = (inode: Inode): void => {
    if (inode.kind === "directory") forEachInode(inode, collect);
    if (inode.kind !== "regular" || inode.content.kind !== "external") return;
    objects.add(parseObjectId(objectName(inode.content), repo.algorithm));
  };
  forEachInode(readRootImage(repo, id).root, collect);
  return [...objects];
}

/** overlayfs follows the path; the digest is what it must measure to. In a repo they say the same. */
function objectName(content: ExternalContent): string {
  if (content instanceof ObjectContent) return content.digest;
  return content.backingPath?.replaceAll("/", "") ?? content.digest ?? "";
}

function forEachInode(directory: Directory, visit: (inode: Inode) => void): void {
  for (const inode of directory.entries.values()) visit(inode);
}

/** Splitstreams and root images begin like this, at these offsets; old splitstreams have their fields in other order. */
const magics: readonly { readonly role: Role; readonly offset: number; readonly bytes: Uint8Array }[] = [
  { role: "stream", offset: 0, bytes: encodeText("SplitStream") },
  { role: "stream", offset: 18, bytes: encodeText("SplitStream") },
  { role: "image", offset: 1024, bytes: Uint8Array.of(0xe2, 0xe1, 0xf5, 0xe0) },
];

/** What the object `id` is by its first bytes; undefined when it is neither, or does not exist. */
function roleOfContent(repo: Repo, id: ObjectId): Role | undefined {
  const path = objectPath(repo.path, id);
  if (repo.files.lstatIfExists(path)?.kind !== "regular") return undefined;
  const start = new Uint8Array(2048);
  const fd = repo.files.open(path, "read");
  try {
    const length = repo.files.read(fd, start, { offset: 0, length: start.length, position: 0 });
    const head = start.subarray(0, length);
    return magics.find(({ offset, bytes }) => equalBytes(head.subarray(offset, offset + bytes.length), bytes))?.role;
  } finally {
    repo.files.close(fd);
  }
}
