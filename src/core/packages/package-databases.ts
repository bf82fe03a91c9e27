import { fromText } from "../bytes/byte-string.ts";
import type { FileTree, RegularFile } from "../tree/inode.ts";
import { followPath } from "../tree/tree-path.ts";
import { parseApkInstalled } from "./apk-installed.ts";
import { parseDpkgStatus } from "./dpkg-status.ts";
import type { InstalledPackage } from "./package-list.ts";
import { parseRpmDatabase } from "./rpm-database.ts";

export type PackageManager = "dpkg" | "rpm" | "apk";

/** A file of an image that a package manager keeps its packages in. */
export interface PackageDatabase {
  readonly manager: PackageManager;
  readonly path: string;
  readonly file: RegularFile;
}

/** What an image has of databases; `unreadable` names those of which nobody here knows the form, or that are too many. */
export interface FoundDatabases {
  readonly databases: readonly PackageDatabase[];
  readonly unreadable: readonly string[];
}

/** Where each package manager's database is, of image-based systems first: in their images /var is not what runs. */
const places: readonly { readonly manager: PackageManager; readonly paths: readonly string[] }[] = [
  { manager: "dpkg", paths: ["usr/lib/sysimage/dpkg/status", "usr/lib/dpkg/status", "var/lib/dpkg/status"] },
  {
    manager: "rpm",
    paths: ["usr/lib/sysimage/rpm/rpmdb.sqlite", "usr/share/rpm/rpmdb.sqlite", "var/lib/rpm/rpmdb.sqlite"],
  },
  { manager: "apk", paths: ["usr/lib/apk/db/installed", "lib/apk/db/installed"] },
];

/** One file for each package: how images without a package manager tell what they are made of. */
const statusDirectory = "var/lib/dpkg/status.d";
/** More of them are not read: each may have to be fetched on its own. */
const statusFileLimit = 300;

const rpmOfOtherForm = ["Packages.db", "Packages"].flatMap((name) =>
  ["usr/lib/sysimage/rpm", "usr/share/rpm", "var/lib/rpm"].map((directory) => `${directory}/${name}`),
);

/**
 * Finds the package databases of an image in its finished tree, so that of several layers the last one counts. Links are
 * followed. Of each package manager the first place counts that is there.
 */
export function findPackageDatabases(tree: FileTree): FoundDatabases {
  const found = places.flatMap(({ manager, paths }): readonly PackageDatabase[] => {
    for (const path of paths) {
      const file = followPath(tree, fromText(path));
      if (file?.kind === "regular") return [{ manager, path, file }];
    }
    return [];
  });
  const status = found.some(({ manager }) => manager === "dpkg") ? [] : statusFiles(tree);
  const tooMany = status.length > statusFileLimit ? [statusDirectory] : [];
  const databases = [...(tooMany.length > 0 ? [] : status), ...found];
  const hasRpm = databases.some(({ manager }) => manager === "rpm");
  // Changes that only the log beside a database has were never written to the database itself.
  const logged = databases.filter(({ manager, path }) => manager === "rpm" && hasBytes(tree, `${path}-wal`));
  const other = hasRpm ? [] : rpmOfOtherForm.filter((path) => hasBytes(tree, path)).slice(0, 1);
  return {
    databases: databases.filter((each) => !logged.includes(each)),
    unreadable: [...logged.map(({ path }) => path), ...other, ...tooMany],
  };
}

function statusFiles(tree: FileTree): readonly PackageDatabase[] {
  const directory = followPath(tree, fromText(statusDirectory));
  if (directory?.kind !== "directory") return [];
  return [...directory.entries].flatMap(([name, file]) =>
    // Beside each lies the list of its files' digests.
    file.kind === "regular" && !name.endsWith(".md5sums")
      ? [{ manager: "dpkg" as const, path: `${statusDirectory}/${name}`, file }]
      : [],
  );
}

function hasBytes(tree: FileTree, path: string): boolean {
  const file = followPath(tree, fromText(path));
  return file?.kind === "regular" && (file.content.kind === "external" || file.content.bytes.length > 0);
}

/**
 * The packages in a database.
 *
 * @throws OsdeployError `bad-format` when it cannot be read.
 */
export function parsePackages(manager: PackageManager, bytes: Uint8Array): readonly InstalledPackage[] {
  switch (manager) {
    case "dpkg":
      return parseDpkgStatus(bytes);
    case "rpm":
      return parseRpmDatabase(bytes);
    case "apk":
      return parseApkInstalled(bytes);
  }
}
