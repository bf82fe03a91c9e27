import { type ByteString, fromText } from "../core/bytes/byte-string.ts";
import type { Origin } from "../core/deployment/deployment.ts";
import { type DiskContent, type DiskStep, ownedByRoot } from "../core/disk/disk-step.ts";
import { OsdeployError } from "../core/errors.ts";
import type { FileTree, Xattrs } from "../core/tree/inode.ts";
import type { EtcStep } from "../core/tree/merge-etc.ts";
import { findInode } from "../core/tree/tree-path.ts";
import type { ScratchFiles } from "../disk/scratch-files.ts";
import { appendVerityTail } from "../disk/seal-files.ts";
import type { LinuxFiles, Path } from "../linux/linux.ts";
import { childPath } from "../linux/path.ts";
import { formatOrigin } from "../sysroot/origin-file.ts";
import { contentSource } from "./boot-files.ts";
import { stepsOfFirstEtc, stepsOfImage } from "./host-etc.ts";
import type { InstallImage } from "./install-image.ts";
import { type StateAddition, withAdditions } from "./state-additions.ts";

/** What the root file system of a new disk is made from. */
export interface RootRequest {
  readonly origin: Origin;
  /** Seconds since 1970 that everything gets which the image gives no time. */
  readonly time: number;
  /** Where files lie that are on the disk and not in the repo. */
  readonly scratch: ScratchFiles;
  /** More files of the state directory: below `etc` and `var`. */
  readonly additions: readonly StateAddition[];
  /** Whether the files of the repo get ext4's verity tails; else the kernel seals them, or nobody does. */
  readonly withTails: boolean;
}

/**
 * All that is on the root file system of a new disk: the directories of a sysroot, the deployment's state, and the repo,
 * sealed. The repo is of no use where it lies afterwards: its files have their verity tails.
 */
export function rootSteps(files: LinuxFiles, image: InstallImage, request: RootRequest): readonly DiskStep[] {
  const label = selinuxLabel(image.tree);
  const directory = (path: string, permissions = 0o755): DiskStep => ({
    path: fromText(path),
    stat: ownedByRoot(permissions, request.time),
    xattrs: label,
    content: { kind: "directory" },
  });
  // State first: contents of /etc and /var are copied out of the repo before its files get their tails.
  const state = stateSteps(image, { request, label });
  const repo = repoSteps(files, image, { ...request, xattrs: label });
  return [directory("boot"), directory("composefs", 0o700), ...repo, directory("state"), ...state];
}

/** Objects are read by whoever may read /usr: they get its label, where the image has labels. */
function selinuxLabel(tree: FileTree): Xattrs {
  const key = fromText("security.selinux");
  const label = findInode(tree, fromText("usr"))?.xattrs.get(key);
  return new Map(label === undefined ? [] : [[key, label]]);
}

interface Common {
  readonly request: RootRequest;
  readonly label: Xattrs;
}

function stateSteps(image: InstallImage, { request, label }: Common): readonly DiskStep[] {
  const own = (path: string, content: DiskContent, permissions = 0o755): DiskStep => ({
    path: fromText(path),
    stat: ownedByRoot(permissions, request.time),
    xattrs: label,
    content,
  });
  const directory: DiskContent = { kind: "directory" };
  const deployment = `state/deploy/${image.rootImage}`;
  const origin = request.scratch.pathOf(fromText(formatOrigin(request.origin)));
  return [
    own("state/deploy", directory),
    own(deployment, directory),
    own(`${deployment}/${image.rootImage}.origin`, { kind: "file", source: origin, sealedBytes: undefined }, 0o644),
    ...imageSteps(image, { request, from: "etc", to: `${deployment}/etc` }),
    own(`${deployment}/var`, { kind: "symlink", target: fromText("../../os/default/var") }),
    own("state/os", directory),
    own("state/os/default", directory),
    ...imageSteps(image, { request, from: "var", to: "state/os/default/var" }),
  ];
}

function imageSteps(
  image: InstallImage,
  { request, from, to }: { readonly request: RootRequest; readonly from: "etc" | "var"; readonly to: string },
): readonly DiskStep[] {
  const below = (path: ByteString): ByteString => (path === "" ? fromText(to) : childPath(fromText(to), path));
  const made = from === "etc" ? stepsOfFirstEtc(image.repo, image.tree) : stepsOfImage(image.tree, from);
  const steps = withAdditions(made, request.additions, { below: from, time: request.time });
  return steps.flatMap((step): readonly DiskStep[] => {
    const content = contentOf(image, request, step);
    const { stat, xattrs } = step.inode;
    return content === undefined ? [] : [{ path: below(step.path), stat, xattrs, content }];
  });
}

function contentOf(image: InstallImage, { scratch }: RootRequest, { inode }: EtcStep): DiskContent | undefined {
  switch (inode.kind) {
    case "directory":
      return { kind: "directory" };
    case "symlink":
      return { kind: "symlink", target: inode.target };
    case "regular": {
      const source = contentSource(image.repo, inode.content);
      return { kind: "file", source: scratch.copyOf(source), sealedBytes: undefined };
    }
    case "socket":
      // Nobody listens behind a socket from an image, and debugfs cannot make one.
      return undefined;
    default:
      return { kind: inode.kind, rdev: inode.rdev };
  }
}

/** All of the repo but its staging directory, as it is to lie below `composefs`. */
function repoSteps(
  files: LinuxFiles,
  { repo }: InstallImage,
  common: Pick<RootRequest, "time" | "withTails"> & { readonly xattrs: Xattrs },
): readonly DiskStep[] {
  const stepsIn = (directory: Path, target: ByteString): readonly DiskStep[] =>
    files.readDirectory(directory).flatMap((name) => {
      const path = childPath(directory, name);
      const place = childPath(target, name);
      if (place === "composefs/staging") return [];
      const { kind } = files.lstat(path);
      const step = (permissions: number, content: DiskContent): DiskStep => ({
        path: place,
        stat: ownedByRoot(permissions, common.time),
        xattrs: common.xattrs,
        content,
      });
      switch (kind) {
        case "directory":
          return [step(0o755, { kind }), ...stepsIn(path, place)];
        case "symlink":
          return [step(0o777, { kind, target: files.readLink(path) })];
        default:
          return [step(0o644, common.withTails ? withTail(files, repo, { path, place }) : plain(files, path))];
      }
    });
  return stepsIn(repo.path, fromText("composefs"));
}

function plain(files: LinuxFiles, path: Path): DiskContent {
  return { kind: "file", source: path, sealedBytes: files.lstat(path).sizeBytes };
}

function withTail(
  files: LinuxFiles,
  { algorithm }: InstallImage["repo"],
  { path, place }: { readonly path: Path; readonly place: ByteString },
): DiskContent {
  const { sizeBytes, digest } = appendVerityTail(files, path, algorithm);
  const id = /^composefs\/objects\/([0-9a-f]{2})\/([0-9a-f]+)$/.exec(place)?.slice(1).join("");
  if (id !== undefined && id !== digest) {
    throw new OsdeployError("damaged", `Cannot install object ${id}: its bytes measure to ${digest}`, {
      facts: { object: id, measured: digest },
    });
  }
  return { kind: "file", source: path, sealedBytes: sizeBytes };
}
