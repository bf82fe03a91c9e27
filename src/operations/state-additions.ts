import { type ByteString, fromBytes, fromText, toText } from "../core/bytes/byte-string.ts";
import { ownedByRoot } from "../core/disk/disk-step.ts";
import { OsdeployError } from "../core/errors.ts";
import type { Inode, Xattrs } from "../core/tree/inode.ts";
import type { EtcStep } from "../core/tree/merge-etc.ts";

/** A file that the installation itself puts into the state, not the image. */
export interface StateAddition {
  readonly below: "etc" | "var";
  readonly path: string;
  readonly permissions: number;
  /** None when undefined. */
  readonly xattrs?: Xattrs | undefined;
  readonly bytes: Uint8Array | "directory";
}

/** Where additions go, and the seconds since 1970 that they get. */
interface Place {
  readonly below: StateAddition["below"];
  readonly time: number;
}

/**
 * The additions below /etc or /var as steps.
 *
 * @throws OsdeployError `unsupported` where a link of the image's would lead one to another place.
 */
export function stepsOfAdditions(
  image: readonly EtcStep[],
  additions: readonly StateAddition[],
  { below, time }: Place,
): readonly EtcStep[] {
  const there = new Map(image.map(({ path, inode }) => [path, inode.kind]));
  const added = additions.filter((addition) => addition.below === below);
  for (const addition of added) refuseLinks(addition, (path) => there.get(path));
  return added.map((addition) => ({ path: fromText(addition.path), from: "image", inode: inodeOf(addition, time) }));
}

/**
 * The steps of the image, then those of the additions that it has not.
 *
 * @throws OsdeployError as {@link stepsOfAdditions} does.
 */
export function withAdditions(
  image: readonly EtcStep[],
  additions: readonly StateAddition[],
  place: Place,
): readonly EtcStep[] {
  const there = new Set(image.map(({ path }) => path));
  return [...image, ...stepsOfAdditions(image, additions, place).filter(({ path }) => !there.has(path))];
}

function inodeOf({ permissions, xattrs = new Map(), bytes }: StateAddition, time: number): Inode {
  const common = { stat: ownedByRoot(permissions, time), xattrs };
  if (bytes === "directory") return { kind: "directory", entries: new Map(), links: new Set(), ...common };
  return { kind: "regular", content: { kind: "inline", bytes: fromBytes(bytes) }, nlink: 1, ...common };
}

/** The image chose what is there, and a link of its own would be followed out of the sysroot. */
function refuseLinks(
  { below, path, bytes }: StateAddition,
  kindOf: (path: ByteString) => Inode["kind"] | undefined,
): void {
  const names = path.split("/").slice(0, bytes === "directory" ? undefined : -1);
  for (const [index] of names.entries()) {
    const shown = fromText(names.slice(0, index + 1).join("/"));
    const kind = kindOf(shown);
    if (kind === undefined) return;
    if (kind === "directory") continue;
    throw new OsdeployError(
      "unsupported",
      `Cannot install keys for root: /${below}/${toText(shown)} is a ${kind} in the image`,
    );
  }
}
