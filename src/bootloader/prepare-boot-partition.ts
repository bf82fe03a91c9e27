import { emptyGrubEnvironment, formatGrubEnvironment } from "../core/boot/grub-environment.ts";
import { formatGrubConfig, formatGrubMenu, type GrubConfig } from "../core/boot/grub-menu.ts";
import { encodeText } from "../core/bytes/utf8.ts";
import type { LinuxFiles, Path } from "../linux/linux.ts";
import { makeParents } from "../linux/make-directories.ts";
import { pathBelow } from "../linux/path.ts";
import { commitFile } from "./commit-file.ts";
import { bootloaderNotePath } from "./open-bootloader.ts";

/** What `install` decides for a loader. */
export type LoaderSettings =
  | {
      readonly kind: "systemd-boot";
      readonly timeoutSeconds: number;
      /** The EFI system partition, where the boot partition is another one: the loader looks there for its settings. */
      readonly esp?: Path | undefined;
    }
  | ({ readonly kind: "grub" } & GrubConfig)
  | { readonly kind: "none" };

/**
 * Writes the files that a loader needs besides itself on the boot partition mounted at `boot`, and notes which loader it is.
 * For `install`; the loader's own binaries are put there by whoever installs. Files that are there already are left as they
 * are, and named: somebody wrote them on purpose.
 */
export function prepareBootPartition(files: LinuxFiles, boot: Path, settings: LoaderSettings): readonly Path[] {
  const kept: Path[] = [];
  for (const { path, bytes, top = boot } of loaderFiles(settings)) {
    const target = pathBelow(top, path);
    makeParents(files, top, path);
    if (files.lstatIfExists(target) === undefined) commitFile(files, top, target, bytes, { replace: false });
    else kept.push(target);
  }
  makeParents(files, boot, "osdeploy/bootloader");
  commitFile(files, boot, bootloaderNotePath(boot), text(`${settings.kind}\n`), { replace: true });
  return kept;
}

interface LoaderFile {
  /** From the top of the partition. */
  readonly path: string;
  readonly bytes: Uint8Array;
  /** The partition where it is not the boot partition. */
  readonly top?: Path | undefined;
}

function loaderFiles(settings: LoaderSettings): readonly LoaderFile[] {
  switch (settings.kind) {
    case "systemd-boot":
      return [
        // Entries of others may sort before ours: the pattern says which are meant.
        {
          path: "loader/loader.conf",
          bytes: text(`timeout ${settings.timeoutSeconds}\ndefault osdeploy-*\n`),
          top: settings.esp,
        },
        // bootctl and kernel-install read here what kind of entries this is for.
        { path: "loader/entries.srel", bytes: text("type1\n") },
      ];
    case "grub": {
      const directory = settings.directory.replace(/^.*\//, "");
      return [
        { path: `${directory}/grubenv`, bytes: formatGrubEnvironment(emptyGrubEnvironment) },
        { path: `${directory}/osdeploy.cfg`, bytes: text(formatGrubMenu([], new Map())) },
        { path: `${directory}/grub.cfg`, bytes: text(formatGrubConfig(settings)) },
      ];
    }
    case "none":
      return [];
  }
}

function text(value: string): Uint8Array {
  return encodeText(value);
}
