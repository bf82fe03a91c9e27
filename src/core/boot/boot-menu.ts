import { fromText } from "../bytes/byte-string.ts";
import type { ObjectId } from "../digest/object-id.ts";
import { OsdeployError } from "../errors.ts";
import type { BlsEntry } from "./bls-entry.ts";
import { blsField, blsOptions } from "./bls-entry.ts";
import { entryArgument, entryOfCmdline, rootImageOfCmdline } from "./kernel-cmdline.ts";
import type { OsRelease } from "./os-release.ts";

/** How often the loader may still start an entry that has not proved itself, and how often it did. */
export interface BootTries {
  readonly left: number;
  readonly done: number;
}

/** A boot entry that osdeploy wrote. The highest sequence number boots, of those that have tries left or need none. */
export interface BootEntry {
  /** The file's name in `loader/entries`. */
  readonly fileName: string;
  readonly sequence: number;
  readonly rootImage: ObjectId;
  /** Undefined once a boot of it was good, and where the loader does not count. */
  readonly tries: BootTries | undefined;
  readonly entry: BlsEntry;
}

/** The boot menu as it lies on the boot partition. A sequence number occurs once among `entries`. */
export interface BootMenu {
  /** Ours, newest first. */
  readonly entries: readonly BootEntry[];
  /** Files with the name of an entry of ours that do not count: a second one with its number, or one never finished. */
  readonly stale: readonly string[];
  /** The names of all others, also of those that cannot be read: left alone. */
  readonly foreign: readonly string[];
  /** The highest number by which the kernel arguments of a file call it, and its name does not: somebody renamed it. */
  readonly renamedSequence?: number;
  /** Set where the loader has lost what it counted: no entry is given up any more. */
  readonly areTriesLost?: true;
}

/** `osdeploy-000012.conf`, or with the loader's counters of tries left and done: `osdeploy-000012+2-1.conf`. */
const entryName = /^osdeploy-(\d{6,15})(?:\+(\d{1,9})(?:-(\d{1,9}))?)?\.conf$/;

type BootMenuFile = Pick<BootEntry, "fileName" | "entry">;

/** Sorts the files of `loader/entries`, given by name and parsed content, into ours and others'. */
export function readBootMenu(files: readonly BootMenuFile[]): BootMenu {
  const all: BootEntry[] = [];
  const foreign: string[] = [];
  for (const { fileName, entry } of files) {
    const [, sequence, left, done = "0"] = entryName.exec(fileName) ?? [];
    const rootImage = rootImageOfCmdline(blsOptions(entry));
    if (sequence === undefined || rootImage === undefined) foreign.push(fileName);
    else {
      const tries = left === undefined ? undefined : { left: Number(left), done: Number(done) };
      all.push({ fileName, sequence: Number(sequence), rootImage: rootImage as ObjectId, tries, entry });
    }
  }
  all.sort(newerFirst);
  const renamed = files.flatMap(renamedSequence);
  const isStale = ({ sequence }: BootEntry, index: number) => all[index - 1]?.sequence === sequence;
  return {
    entries: all.filter((entry, index) => !isStale(entry, index)),
    stale: all
      .filter(isStale)
      .map(({ fileName }) => fileName)
      .sort(),
    foreign: foreign.sort(),
    ...(renamed.length > 0 && { renamedSequence: Math.max(...renamed) }),
  };
}

function renamedSequence({ fileName, entry }: BootMenuFile): readonly number[] {
  const called = sequenceOfCmdline(blsOptions(entry));
  return called === undefined || called === sequenceOfFileName(fileName) ? [] : [called];
}

/**
 * Newest first. Of two files with one number the later state comes first: a rename that was cut off can leave both names
 * on vfat, and entries only go from more tries to fewer, or to good.
 */
function newerFirst(a: BootEntry, b: BootEntry): number {
  return b.sequence - a.sequence || triesLeft(a) - triesLeft(b) || (a.fileName < b.fileName ? -1 : 1);
}

function triesLeft({ tries }: BootEntry): number {
  return tries?.left ?? -1;
}

/**
 * The number that the next entry gets: above all that are there, also in names of ours that cannot be read, and in the kernel
 * arguments of what was renamed, which a boot of it is known by.
 */
export function nextSequence({ entries, foreign, renamedSequence = 0 }: Omit<BootMenu, "stale">): number {
  const names = [...entries.map(({ fileName }) => fileName), ...foreign];
  return Math.max(renamedSequence, ...names.map((name) => sequenceOfFileName(name) ?? 0)) + 1;
}

/** The number in the name of an entry of ours; undefined for other names. */
export function sequenceOfFileName(fileName: string): number | undefined {
  const sequence = entryName.exec(fileName)?.[1];
  return sequence === undefined ? undefined : Number(sequence);
}

/** The number of the entry of ours that has these kernel arguments; undefined where they are of no such entry. */
export function sequenceOfCmdline(options: string): number | undefined {
  return sequenceOfFileName(`${entryOfCmdline(options) ?? ""}.conf`);
}

/** How kernel arguments, GRUB and `bootctl` name an entry, whatever its counters: `osdeploy-000012`. */
export function bootEntryId(sequence: number): string {
  return `osdeploy-${String(sequence).padStart(6, "0")}`;
}

/** The file of an entry in `loader/entries`; its name carries the counters, as systemd-boot has it. */
export function bootEntryFileName(sequence: number, tries: BootTries | undefined): string {
  const done = tries === undefined || tries.done === 0 ? "" : `-${tries.done}`;
  const counters = tries === undefined ? "" : `+${tries.left}${done}`;
  return `${bootEntryId(sequence)}${counters}.conf`;
}

/** Whether the loader has given an entry up: all its tries are used, and none was good. */
export function isExhausted({ tries }: Pick<BootEntry, "tries">): boolean {
  return tries?.left === 0;
}

/** What boots next: the highest sequence number that is not given up; the highest of all when all are. */
export function defaultEntry({ entries }: BootMenu): BootEntry | undefined {
  return entries.find((entry) => !isExhausted(entry)) ?? entries[0];
}

/** What a new boot entry is made from. Paths are as the loader sees them: from the top of the boot partition. */
export interface NewBootEntry {
  readonly sequence: number;
  readonly rootImage: ObjectId;
  readonly osRelease: OsRelease;
  readonly kernelPath: string;
  readonly initramfsPath: string;
  /** The kernel arguments, as `deploymentOptions` makes them; the argument that names the entry is added here. */
  readonly options: string;
  /** How often it may be tried before the loader gives it up; undefined for no counting. */
  readonly tries?: number | undefined;
  /** Whether it is the first of ours beside a system that was there: then it has to come before that one's. */
  readonly besideOthers?: boolean;
}

/**
 * The boot entry of a new deployment.
 *
 * Loaders sort by `sort-key` and then by `version`, highest first (systemd-boot), or by file name (GRUB): both carry the
 * sequence number, so the newest entry is the default for either.
 *
 * @throws OsdeployError `bad-format` when the kernel would cut its arguments off, or the initramfs would not find the root image
 * and the entry's name in them.
 */
export function makeBootEntry(made: NewBootEntry): BootEntry {
  const { sequence, rootImage } = made;
  const imageVersion = cut(made.osRelease.version, versionLimit);
  const version = imageVersion === "" ? `${sequence}` : `${sequence}-${imageVersion}`;
  const options = `${made.options} ${entryArgument(bootEntryId(sequence))}`;
  checkLength(options);
  checkNames(options, made);
  const fields = [
    { key: "title", value: cut(made.osRelease.prettyName, titleLimit) },
    { key: "version", value: version },
    { key: "sort-key", value: made.besideOthers === true ? firstSortKey : sortKey },
    { key: "linux", value: made.kernelPath },
    { key: "initrd", value: made.initramfsPath },
    { key: "options", value: options },
  ];
  const tries = made.tries === undefined ? undefined : { left: made.tries, done: 0 };
  return { fileName: bootEntryFileName(sequence, tries), sequence, rootImage, tries, entry: { fields } };
}

const sortKey = "osdeploy";
/** Before the names of distributions, which kernel-install takes. */
const firstSortKey = "0-osdeploy";

/**
 * An entry with the `sort-key` by which systemd-boot starts it first: that of our entries that are there, so that the sequence
 * decides among ours whichever release wrote them; the first entry beside those of others sorts before them, also where those
 * are no files of this menu, such as unified kernels. One that is given up sorts last whatever its key, so that another
 * system's starts then.
 *
 * @see https://uapi-group.org/specifications/specs/boot_loader_specification/#sorting
 */
export function sortedInto({ entries, foreign }: BootMenu, made: BootEntry): BootEntry {
  const [newest] = entries;
  if (newest === undefined && foreign.length === 0) return made;
  const value = newest === undefined ? firstSortKey : (blsField(newest.entry, "sort-key") ?? sortKey);
  const fields = made.entry.fields.map((field) => (field.key === "sort-key" ? { key: field.key, value } : field));
  return { ...made, entry: { fields } };
}

/** What a menu can show; the image chooses both, in characters. */
const titleLimit = 200;
const versionLimit = 100;

function cut(text: string, limit: number): string {
  return [...text].slice(0, limit).join("").trimEnd();
}

/** COMMAND_LINE_SIZE of the usual machines, without the byte that ends it. */
const optionsLimitBytes = 2047;

function checkLength(options: string): void {
  const { length } = fromText(options);
  if (length <= optionsLimitBytes) return;
  const state = `the kernel arguments are ${length} bytes, and the kernel takes ${optionsLimitBytes}`;
  throw new OsdeployError("bad-format", `Cannot write the boot entry: ${state}`);
}

function checkNames(options: string, { rootImage, sequence }: NewBootEntry): void {
  if (rootImageOfCmdline(options) === rootImage && entryOfCmdline(options) === bootEntryId(sequence)) return;
  const state = "its root image and its name cannot be read from the kernel arguments";
  throw new OsdeployError("bad-format", `Cannot write the boot entry: ${state}: ${options}`);
}
