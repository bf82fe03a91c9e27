import { fromText, toText } from "../core/bytes/byte-string.ts";
import type { VerityAlgorithm } from "../core/digest/object-id.ts";
import { OsdeployError, unlessFailing } from "../core/errors.ts";
import type { LinuxFiles, Path } from "../linux/linux.ts";
import { childPath, pathBelow } from "../linux/path.ts";
import { type ErofsFormat, newRepoMeta, type RepoMeta } from "./meta-file.ts";
import { ensureDirectory, listObjects } from "./object-listing.ts";
import { lockRepo, openDirectory, readState } from "./repo.ts";
import { imagesPath, objectsPath, streamsPath } from "./repo-paths.ts";
import { isTemporaryName, type RepoLinux } from "./temporary-name.ts";
import { nameMeta, writeMeta } from "./write-meta.ts";

/** What a new repo is to be. */
export interface InitOptions {
  /** Names the objects; bootc knows only sha512. */
  readonly algorithm: VerityAlgorithm;
  /** Whether every object must be sealed with fs-verity. */
  readonly secure: boolean;
  /** The layout of root images. */
  readonly erofsFormat: ErofsFormat;
}

/** What `osdeploy init` makes when it is told nothing: as composefs-rs 0.9 does. */
export const defaultInitOptions: InitOptions = { algorithm: "sha512", secure: true, erofsFormat: 1 };

/**
 * Makes a repo at `path`, whose parent exists. A repo that is already there is fine when it is the same. Durable when it
 * returns; after a crash it is no repo yet, or all of it, and may be made again.
 *
 * @returns whether it made one.
 * @throws OsdeployError `already-exists` when there is another repo, one of the old format, or anything else; `unsupported` when it is
 * to be secure and fs-verity is missing; `busy` when somebody uses it.
 */
export function initRepo(linux: RepoLinux, path: Path, options: InitOptions): { readonly created: boolean } {
  const { files } = linux;
  const isNew = ensureDirectory(files, path, 0o700);
  if (files.lstatIfExists(pathBelow(path, ".")) === undefined) throw inTheWay(path, "it is not a directory");
  const fd = openDirectory(files, path);
  try {
    const state = readState(files, path);
    if (state !== undefined) {
      checkEqual(path, describe(state.meta, state.secure), describeOptions(options));
      return { created: false };
    }
    lockRepo(files, fd, { path, kind: "exclusive", wait: false });
    refuseOldFormat(linux, path);
    refuseOtherThings(files, path);
    const meta = newRepoMeta(options.algorithm, options.erofsFormat);
    const temporary = orRemove(files, isNew ? path : undefined, () =>
      writeMeta(linux, path, { fd, meta, secure: options.secure }),
    );
    for (const directory of [objectsPath(path), imagesPath(path), streamsPath(path)]) {
      ensureDirectory(files, directory, 0o755);
    }
    ensureDirectory(files, pathBelow(imagesPath(path), "refs"), 0o755);
    ensureDirectory(files, pathBelow(streamsPath(path), "refs"), 0o755);
    nameMeta(files, path, { fd, temporary });
    return { created: true };
  } finally {
    files.close(fd);
  }
}

/** What `act` gives. Where it fails, the directory at `path` goes, if it holds nothing. */
function orRemove<T>(files: LinuxFiles, path: Path | undefined, act: () => T): T {
  try {
    return act();
  } catch (error) {
    if (path !== undefined) unlessFailing(() => files.removeDirectory(path));
    throw error;
  }
}

/** What a run that was stopped leaves, by the directory that it is in: `""` is the repo's own. */
const ownNames: Readonly<Record<string, (name: string) => boolean>> = {
  "": (name) => ["objects", "images", "streams", "lost+found"].includes(name) || isTemporaryName(name),
  objects: (name) => /^[0-9a-f]{2}$/.test(name),
  images: (name) => name === "refs",
  streams: (name) => name === "refs",
};

/** A directory with anything else in it is most likely another one than was meant. */
function refuseOtherThings(files: LinuxFiles, path: Path): void {
  for (const [directory, isOwn] of Object.entries(ownNames)) {
    const place = pathBelow(path, directory);
    if (files.lstatIfExists(place) === undefined) continue;
    if (files.lstatIfExists(pathBelow(place, ".")) === undefined)
      throw inTheWay(path, `${directory} is not a directory`);
    const others = files.readDirectory(place).filter((name) => !isOwn(name));
    if (others.length === 0) continue;
    const shown = others
      .slice(0, 3)
      .map((name) => toText(directory === "" ? name : childPath(fromText(directory), name)));
    throw inTheWay(path, `it holds other things (${shown.join(", ")}${others.length > 3 ? ", …" : ""})`);
  }
}

function inTheWay(path: Path, state: string): OsdeployError {
  return new OsdeployError("already-exists", `Cannot make repo "${toText(path)}": ${state}`, {
    facts: { repo: toText(path), hint: "Name an empty directory, or one that does not exist yet" },
  });
}

function checkEqual(path: Path, found: string, wanted: string): void {
  if (found === wanted) return;
  throw new OsdeployError(
    "already-exists",
    `Cannot make repo "${toText(path)}": there is one with ${found}, not ${wanted}`,
    {
      facts: { repo: toText(path), found, wanted },
    },
  );
}

function describeOptions(options: InitOptions): string {
  return describe(newRepoMeta(options.algorithm, options.erofsFormat), options.secure);
}

function describe(meta: RepoMeta, secure: boolean): string {
  const formats = [meta.erofsFormats.default, ...meta.erofsFormats.extra].join("+");
  return `${meta.algorithm}, ${secure ? "secure" : "insecure"}, root images of layout ${formats}`;
}

function refuseOldFormat(linux: RepoLinux, path: Path): void {
  for (const algorithm of ["sha256", "sha512"] as const) {
    if (listObjects(linux.files, path, algorithm).ids.size === 0) continue;
    const state = "there is one of the old format, without meta.json; open it for writing and it is upgraded";
    throw new OsdeployError("already-exists", `Cannot make repo "${toText(path)}": ${state}`);
  }
}
