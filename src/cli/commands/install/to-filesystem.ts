import { Option } from "commander";
import type { ByteString } from "../../../core/bytes/byte-string.ts";
import { addExamples } from "../../examples.ts";
import type { DefineCommand } from "../../frame.ts";
import { addInstallOptions, type InstallWords, installRequest } from "../../install-options.ts";
import { parsePath } from "../../options.ts";
import { installToRootText } from "../../output/install-text.ts";

interface ToFilesystemOptions extends InstallWords {
  readonly rootMountSpec?: string;
  readonly esp?: ByteString;
}

/** `osdeploy install to-filesystem` */
export const define: DefineCommand = (command, frame) => {
  addInstallOptions(command)
    .description(
      "Puts an image into an empty root file system that is mounted, with the EFI system partition mounted at boot below it, or another FAT partition there and --esp. Its files are sealed with " +
        "fs-verity by this machine's kernel; where that cannot be done, it is refused before anything is written. To make a whole disk on a machine " +
        "without fs-verity, use install to-disk.",
    )
    .argument("<root>", "where the root file system is mounted", parsePath)
    .option(
      "--root-mount-spec <spec>",
      "what root= is to say on the kernel command line (default: the file system's UUID)",
    )
    .addOption(
      new Option(
        "--esp <directory>",
        "where the EFI system partition is mounted, which gets the loader alone (default: it is the one at boot)",
      ).argParser(parsePath),
    )
    .action((root: ByteString, options: ToFilesystemOptions) =>
      frame.write(
        async (system) => {
          const { installToRoot } = await import("../../../operations/install-to-root.ts");
          const { rootMountSpec: rootSpec, esp, bootloader } = options;
          const request = { ...installRequest(options, frame), bootloader };
          return installToRoot(system, { ...request, root, rootSpec, esp, isExisting: false });
        },
        { text: installToRootText },
      ),
    );
  addExamples(command, [
    ["osdeploy install to-filesystem --source-imgref quay.io/os:latest /mnt", "file systems that another program made"],
  ]);
};
