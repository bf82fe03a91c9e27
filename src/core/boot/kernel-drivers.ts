import { needsLoopDevice } from "./kernel-version.ts";

/** What an image says of its kernel in `/usr/lib/modules/VERSION`; a text is empty where the file is missing. */
export interface KernelFiles {
  readonly version: string;
  /** `modules.dep`, which has a line for each module. */
  readonly modules: string;
  /** `modules.builtin`: what needs no module. */
  readonly builtin: string;
  /** `config`: what it was made with. Fedora's images have it, Debian's do not. */
  readonly config: string;
}

/** What a machine's disk asks of the kernel: its file systems, by the kernel's names of them, and whether files are checked. */
export interface KernelDemand {
  readonly fileSystems: readonly string[];
  readonly verity: boolean;
}

/** File systems that a module of another name serves. */
const servedBy: Readonly<Record<string, string>> = { ext2: "ext4", ext3: "ext4" };

/** A place where something is mounted when it is first looked at: what, it does not say. */
const unknownFileSystem = "autofs";

/**
 * What the kernel of an image lacks to start from a disk, each as it would be named to somebody: `erofs`, `fs-verity`. Empty
 * where all is there, and where the image does not tell: it need not have both lists of its modules.
 */
export function missingDrivers(kernel: KernelFiles, { fileSystems, verity }: KernelDemand): readonly string[] {
  const needed = new Set(["erofs", "overlay", ...fileSystems, ...(needsLoopDevice(kernel.version) ? ["loop"] : [])]);
  const listed = new Set([...namesIn(kernel.modules), ...namesIn(kernel.builtin)]);
  const hasLists = kernel.modules !== "" && kernel.builtin !== "";
  const isThere = (name: string) =>
    listed.has(name) || listed.has(servedBy[name] ?? name) || name === unknownFileSystem;
  const missing = hasLists ? [...needed].filter((name) => !isThere(name)) : [];
  return verity && isConfiguredWithoutVerity(kernel.config) ? [...missing, "fs-verity"] : missing;
}

/** Lines begin with a path such as `kernel/fs/erofs/erofs.ko.xz`. */
function namesIn(list: string): readonly string[] {
  return list.split("\n").flatMap((line) => {
    const name = /^(?:[^:]*\/)?([^/:]+)\.ko(?:\.[a-z0-9]+)?(?::|$)/.exec(line)?.[1];
    return name === undefined ? [] : [name.replaceAll("-", "_")];
  });
}

function isConfiguredWithoutVerity(config: string): boolean {
  return /^CONFIG_/m.test(config) && !/^CONFIG_FS_VERITY=y$/m.test(config);
}
