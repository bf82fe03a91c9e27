/** A package that an image has installed, as the image's own database tells. */
export interface InstalledPackage {
  readonly name: string;
  /** As the package manager writes it: `1:2.3-4`, with the epoch only where there is one. */
  readonly version: string;
  /** In the package manager's own words; empty where a package is for none. */
  readonly architecture: string;
}

/** What becomes of the packages when one image takes the place of another; each list by name, then architecture. */
export interface PackageChanges {
  /** One version in the place of another, newer or older. */
  readonly replaced: readonly ReplacedPackage[];
  readonly added: readonly InstalledPackage[];
  readonly removed: readonly InstalledPackage[];
  /** Packages that stay as they are. */
  readonly unchanged: number;
}

export interface ReplacedPackage {
  readonly name: string;
  readonly before: string;
  readonly after: string;
  readonly architecture: string;
}

/** What a package's name, version or architecture may have in characters: the image chooses them. */
const fieldLimit = 200;

/** A package of these fields, each cut where it is longer than any real one. */
export function installedPackage(name: string, version: string, architecture: string): InstalledPackage {
  const [a, b, c] = [name, version, architecture].map((field) => field.slice(0, fieldLimit));
  return { name: `${a}`, version: `${b}`, architecture: `${c}` };
}

/**
 * Compares the packages of two images. Several versions of one package, as of rpm's kernels, are told apart: one that goes
 * and one that comes, of the same name and architecture, are one that is replaced.
 */
export function comparePackages(
  before: readonly InstalledPackage[],
  after: readonly InstalledPackage[],
): PackageChanges {
  const [gone, unchanged] = without(before, after);
  const [come] = without(after, before);
  const byKey = new Map<string, InstalledPackage[]>();
  for (const each of gone) byKey.set(keyOf(each), [...(byKey.get(keyOf(each)) ?? []), each]);
  const replaced: ReplacedPackage[] = [];
  const added: InstalledPackage[] = [];
  for (const each of come) {
    const old = byKey.get(keyOf(each))?.shift();
    const { name, version, architecture } = each;
    if (old === undefined) added.push(each);
    else replaced.push({ name, before: old.version, after: version, architecture });
  }
  return { replaced, added, removed: sorted([...byKey.values()].flat()), unchanged };
}

/** Those of the first list that are not in the second, sorted, and how many are. */
function without(
  list: readonly InstalledPackage[],
  other: readonly InstalledPackage[],
): readonly [readonly InstalledPackage[], number] {
  const there = new Map<string, number>();
  for (const each of other) there.set(exactKey(each), (there.get(exactKey(each)) ?? 0) + 1);
  const rest = list.filter((each) => {
    const left = there.get(exactKey(each)) ?? 0;
    there.set(exactKey(each), left - 1);
    return left <= 0;
  });
  return [sorted(rest), list.length - rest.length];
}

function keyOf({ name, architecture }: InstalledPackage): string {
  return `${name}\n${architecture}`;
}

function exactKey(each: InstalledPackage): string {
  return `${keyOf(each)}\n${each.version}`;
}

function sorted(list: readonly InstalledPackage[]): readonly InstalledPackage[] {
  return [...list].sort((a, b) => (exactKey(a) < exactKey(b) ? -1 : 1));
}
