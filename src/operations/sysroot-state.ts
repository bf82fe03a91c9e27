import { listKernels } from "../bootloader/kernel-store.ts";
import { blsEntryLimitBytes } from "../core/boot/bls-entry.ts";
import { type BootMenu, bootEntryId, isExhausted } from "../core/boot/boot-menu.ts";
import { bootDigestOfEntry, isKernelThere, type StoredKernelSize } from "../core/boot/kernel-files.ts";
import { fromBytes, toText } from "../core/bytes/byte-string.ts";
import { makeSysrootState, type StagedDeployment, type SysrootState } from "../core/deployment/deployment.ts";
import type { ObjectId } from "../core/digest/object-id.ts";
import { OsdeployError, unlessFailing } from "../core/errors.ts";
import type { LinuxFiles, Path } from "../linux/linux.ts";
import { pathBelow } from "../linux/path.ts";
import { imagesPath } from "../repo/repo-paths.ts";
import { isDamage, readBootFailure, readNotes } from "../sysroot/boot-records.ts";
import { readQuarantine } from "../sysroot/quarantine-store.ts";
import { readStagedMarker } from "../sysroot/staged-marker.ts";
import { readStagedNote } from "../sysroot/staged-note-file.ts";
import { readDeploymentDirectories } from "../sysroot/state-directory.ts";
import type { Sysroot } from "../sysroot/sysroot.ts";

/**
 * Reads the deployments of a sysroot, what is staged and what is in quarantine, once, at the start of an operation. `menu`
 * is that of its boot partition. What is damaged is named among the problems, and hides nothing else.
 */
export function readSysrootState({ files, paths, running }: Sysroot, menu: BootMenu): SysrootState {
  const { staged, damage } = running === undefined ? { staged: undefined, damage: undefined } : readStagedMarker(files);
  const noted = readStagedNote(files, paths);
  const kernels = readKernels(files, paths.boot);
  return makeSysrootState({
    directories: readDeploymentDirectories(files, paths),
    menu,
    booted: running?.booted,
    staged,
    // A record that is there and cannot be read was not lost in a reboot.
    stagedNote: damage === undefined ? noted.note : undefined,
    quarantine: readQuarantine(files, paths),
    heldByOthers: digestsOfOthers(files, paths.boot, menu.foreign),
    damagedEntries: damagedEntries({ files, paths }, menu),
    lostKernels: lostKernels(kernels.stored, menu, staged),
    lostRootImages: lostRootImages({ files, paths }, menu),
    problems: [
      ...(damage === undefined ? [] : [`${damage.message}; nothing is staged`]),
      ...(noted.damage === undefined ? [] : [noted.damage.message]),
      ...kernels.problems,
      ...readNotes(files, paths),
    ],
  });
}

/** Those that cannot be read are as good as gone. */
function readKernels(
  files: LinuxFiles,
  boot: Path,
): { readonly stored: readonly StoredKernelSize[]; readonly problems: readonly string[] } {
  try {
    return { stored: listKernels(files, boot), problems: [] };
  } catch (error) {
    if (!(error instanceof OsdeployError)) throw error;
    return { stored: [], problems: [`The kernels on the boot partition cannot be read: ${error.message}`] };
  }
}

function lostKernels(
  kernels: readonly StoredKernelSize[],
  { entries }: BootMenu,
  staged: StagedDeployment | undefined,
): ReadonlySet<string> {
  const needed = [...entries.map(bootDigestOfEntry), staged?.origin.bootDigest];
  return new Set(needed.flatMap((each) => (each === undefined || isKernelThere(kernels, each) ? [] : [each])));
}

/** None is known of by a user who may not look into the repo. */
function lostRootImages({ files, paths }: Pick<Sysroot, "files" | "paths">, menu: BootMenu): ReadonlySet<ObjectId> {
  const isLost = (id: ObjectId) => files.lstatIfExists(pathBelow(imagesPath(paths.repo), id)) === undefined;
  const started = new Set(menu.entries.map(({ rootImage }) => rootImage));
  return new Set(unlessFailing(() => [...started].filter(isLost)) ?? []);
}

function damagedEntries({ files, paths }: Pick<Sysroot, "files" | "paths">, menu: BootMenu): ReadonlySet<number> {
  const givenUp = menu.entries.filter(isExhausted).map(({ sequence }) => sequence);
  return new Set(givenUp.filter((sequence) => isDamage(readBootFailure(files, paths, bootEntryId(sequence)))));
}

/**
 * The root images that other programs' boot entries start or may start, and the kernels, as far as they can be read. Their
 * forms are many (options, the name of a unified kernel image, `composefs.digest=`), so whatever looks like a digest is one.
 */
function digestsOfOthers(files: LinuxFiles, boot: Path, foreign: readonly string[]): ReadonlySet<ObjectId> {
  const names = [...foreign.map((name) => `entries/${name}`), ...stagedByOthers(files, boot)];
  return new Set(
    names.flatMap((name) => {
      const bytes = unlessFailing(() => files.readFile(pathBelow(boot, `loader/${name}`), blsEntryLimitBytes));
      return bytes === undefined
        ? []
        : [...fromBytes(bytes).matchAll(hexRun)].map(([hex]) => hex as string as ObjectId);
    }),
  );
}

const hexRun = /(?<![0-9a-f])(?:[0-9a-f]{128}|[0-9a-f]{64})(?![0-9a-f])/g;

/** What bootc exchanges with the entries at shutdown. */
function stagedByOthers(files: LinuxFiles, boot: Path): readonly string[] {
  const directory = pathBelow(boot, "loader/entries.staged");
  if (files.lstatIfExists(directory)?.kind !== "directory") return [];
  return files.readDirectory(directory).map((name) => `entries.staged/${toText(name)}`);
}
