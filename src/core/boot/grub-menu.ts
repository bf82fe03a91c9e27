import { blsField, blsOptions } from "./bls-entry.ts";
import { type BootEntry, bootEntryId } from "./boot-menu.ts";
import { grubKernelWords, grubWord } from "./grub-script.ts";
import { splitCmdline } from "./kernel-cmdline.ts";

/**
 * The entries that count for GRUB, by sequence number, each with the tries that it was added with; undefined where it was
 * added without.
 */
export type GrubEntryTries = ReadonlyMap<number, number | undefined>;

/** GRUB script cannot subtract: each count is a case of its own, and more than these are not written out. */
export const grubTriesLimit = 9;

/** The variable of GRUB's environment with the tries that an entry has left; not set once its boot was good. */
export function grubTriesVariable(sequence: number): string {
  return `osdeploy_tries_${sequence}`;
}

/**
 * `osdeploy.cfg`: the boot menu as a GRUB script, sourced by `grub.cfg` in the same directory. Made from the entries of
 * `loader/entries`, newest first; the environment block lies beside it.
 *
 * The script chooses the newest entry whose tries are not 0, the newest of all when all are, unless `next_entry` names
 * another for once, or somebody's own grub.cfg has taken that up and says so with `boot_once`. An entry that is being
 * counted takes one off its tries, on the disk, before it starts; one whose kernel
 * cannot be loaded hands over to the next older one.
 */
export function formatGrubMenu(entries: readonly BootEntry[], tries: GrubEntryTries): string {
  const sequences = entries.map(({ sequence }) => sequence);
  const head = entries.map(({ sequence }) => `#entry ${sequence} ${tries.get(sequence) ?? "-"}\n`).join("");
  const parts = [
    `${firstLine}\n${head}${lastHeadLine(entries.length)}\n`,
    prologue,
    sequences.length === 0 ? "" : chooseDefault(sequences),
    startFunctions(entries, tries),
    ...entries.map((entry, index) => menuEntry(entry, entries[index + 1])),
  ];
  return parts.join("");
}

const firstLine = "# Written by osdeploy from loader/entries; changes are lost.";

function lastHeadLine(count: number): string {
  return `#entries ${count}`;
}

/**
 * Which entries `osdeploy.cfg` holds; undefined when the text is no such file, or was cut off.
 */
export function parseGrubMenu(text: string): GrubEntryTries | undefined {
  const lines = text.split("\n");
  const tries = new Map<number, number | undefined>();
  for (const line of lines) {
    if (line === lastHeadLine(tries.size)) return tries;
    const [, sequence, count] = /^#entry (\d{1,15}) (\d|-)$/.exec(line) ?? [];
    if (sequence !== undefined) tries.set(Number(sequence), count === "-" ? undefined : Number(count));
  }
  return undefined;
}

/** Files are named with their device: a menu entry of somebody else may change `root`. */
const prologue = `set osdeploy_root="\${root}"
regexp --set=1:osdeploy_root '^[(]([^)]*)[)]' "\${config_directory}"
set osdeploy_environment="\${config_directory}/grubenv"
export osdeploy_root osdeploy_environment
`;

function chooseDefault(sequences: readonly number[]): string {
  const [newest = 0] = sequences;
  const variables = sequences.map(grubTriesVariable).join(" ");
  const cases = sequences.map(
    (sequence) => `elif [ "\${${grubTriesVariable(sequence)}}" != 0 ]; then\n  set default=${bootEntryId(sequence)}\n`,
  );
  return `load_env --file "\${osdeploy_environment}" next_entry ${variables}
export ${variables}
if [ "\${boot_once}" = true ]; then
  true
${cases.join("")}else
  set default=${bootEntryId(newest)}
fi
if [ -n "\${next_entry}" ]; then
  set default="\${next_entry}"
  set next_entry=
  save_env --file "\${osdeploy_environment}" next_entry
fi
`;
}

/** From the oldest to the newest, because a function has to be there before it is called. */
function startFunctions(entries: readonly BootEntry[], tries: GrubEntryTries): string {
  return entries
    .map((entry, index) => startFunction(entry, tries.get(entry.sequence)) + tryFunction(entry, entries[index + 1]))
    .reverse()
    .join("");
}

/** Loads the kernel of an entry; fails when it or the initramfs cannot be loaded. */
function startFunction({ sequence, entry }: BootEntry, tries = 0): string {
  const paths = (key: string) =>
    entry.fields.filter((field) => field.key === key).map(({ value }) => devicePath(value));
  const words = grubKernelWords(splitCmdline(blsOptions(entry)));
  const initrds = paths("initrd");
  return `function osdeploy_start_${sequence} {
  set osdeploy_argument=
${tries === 0 ? "" : countDown(sequence, tries)}  if linux ${paths("linux")[0] ?? "''"} ${words} \${osdeploy_argument}; then
    ${initrds.length === 0 ? "true" : `initrd ${initrds.join(" ")}`}
  else
    false
  fi
}
`;
}

/**
 * Starts an entry that is not given up, else the next older one: a kernel that is gone or unreadable must not end in a menu
 * that nobody sees. GRUB's own `fallback` knows places in the menu only, and osdeploy.cfg does not know its place.
 */
function tryFunction({ sequence }: BootEntry, older: BootEntry | undefined): string {
  const next = older === undefined ? "false" : `osdeploy_try_${older.sequence}`;
  return `function osdeploy_try_${sequence} {
  if [ "\${${grubTriesVariable(sequence)}}" = 0 ]; then
    ${next}
  elif osdeploy_start_${sequence}; then
    true
  else
    ${next}
  fi
}
`;
}

function menuEntry({ sequence, entry }: BootEntry, older: BootEntry | undefined): string {
  // A title that begins with a dash would be an option of `menuentry`.
  const title = `${blsField(entry, "title") ?? "osdeploy"} (${sequence})`.replace(/^-/, " -");
  return `menuentry ${grubWord(title)} --id ${bootEntryId(sequence)} {
  if osdeploy_start_${sequence}; then
    true
  else
    ${older === undefined ? "false" : `osdeploy_try_${older.sequence}`}
  fi
}
`;
}

function devicePath(path: string): string {
  return `"(\${osdeploy_root})"${grubWord(path)}`;
}

function countDown(sequence: number, tries: number): string {
  const variable = grubTriesVariable(sequence);
  const cases = Array.from({ length: tries }, (_, index) => {
    const left = tries - index - 1;
    return `  ${index === 0 ? "if" : "elif"} [ "\${${variable}}" = ${left + 1} ]; then
    set ${variable}=${left}
    set osdeploy_argument=osdeploy.tries=${left}
`;
  });
  return `${cases.join("")}  fi
  if [ -n "\${osdeploy_argument}" ]; then
    save_env --file "\${osdeploy_environment}" ${variable}
  fi
`;
}

/** What `install` decides about `grub.cfg`. */
export interface GrubConfig {
  /** The UUID of the file system with the boot files, as GRUB and blkid write it: `ABCD-1234` for vfat. */
  readonly fileSystemUuid: string;
  /** Where the directory of `grub.cfg` lies on that file system: `/grub`, or `/boot/grub`. */
  readonly directory: string;
  readonly timeoutSeconds: number;
  /** More lines, for example for a serial console. */
  readonly terminal?: readonly string[];
}

/** `grub.cfg` on a disk that osdeploy installed: it changes never again, and sources `osdeploy.cfg` beside it. */
export function formatGrubConfig({ fileSystemUuid, directory, timeoutSeconds, terminal = [] }: GrubConfig): string {
  return `# Written by osdeploy install. The menu is in osdeploy.cfg, which each deployment replaces.
set timeout=${timeoutSeconds}
search --no-floppy --set=root --fs-uuid ${fileSystemUuid}
set config_directory="(\${root})"${grubWord(directory)}
export config_directory
${terminal.map((line) => `${line}\n`).join("")}source "\${config_directory}/osdeploy.cfg"
`;
}

/** The few lines that a GRUB image starts with, in itself or beside it on the ESP: they hand over to `grub.cfg`. */
export function formatGrubStub({
  fileSystemUuid,
  directory,
}: Pick<GrubConfig, "fileSystemUuid" | "directory">): string {
  return `search --no-floppy --set=root --fs-uuid ${fileSystemUuid}
configfile "(\${root})"${grubWord(`${directory}/grub.cfg`)}
`;
}
