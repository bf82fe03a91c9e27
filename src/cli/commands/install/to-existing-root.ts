import { type ByteString, fromText } from "../../../core/bytes/byte-string.ts";
import { addExamples } from "../../examples.ts";
import type { DefineCommand } from "../../frame.ts";
import { addInstallOptions, type InstallWords, installRequest } from "../../install-options.ts";
import { parsePath } from "../../options.ts";
import { installToRootText } from "../../output/install-text.ts";

interface ToExistingRootOptions extends InstallWords {
  readonly rootMountSpec?: string;
}

/** `osdeploy install to-existing-root` */
export const define: DefineCommand = (command, frame) => {
  addInstallOptions(command)
    .description(
      "Puts an image beside a system that is installed from packages: into composefs and state in its root file system, with a boot entry that comes " +
        "first and is given up when three boots of it are not good. Nothing of the system that is there is changed or removed, and it can be booted as before. " +
        "Its boot loader is used: systemd-boot with its partition mounted at /boot, or GRUB with a grub.cfg that sources custom.cfg, as Debian's does.",
    )
    .argument("[root]", "where its root file system is mounted", parsePath, fromText("/"))
    .option(
      "--root-mount-spec <spec>",
      "what root= is to say on the kernel command line (default: the file system's UUID)",
    )
    .action((root: ByteString, options: ToExistingRootOptions) =>
      frame.write(
        async (system) => {
          const { installToRoot } = await import("../../../operations/install-to-root.ts");
          const isChosen = command.getOptionValueSource("bootloader") !== "default";
          const bootloader = isChosen ? options.bootloader : undefined;
          const request = { ...installRequest(options, frame), bootloader, rootSpec: options.rootMountSpec };
          return installToRoot(system, { ...request, root, isExisting: true });
        },
        { text: installToRootText },
      ),
    );
  addExamples(command, [
    ["osdeploy install to-existing-root --source-imgref quay.io/os:latest", "this machine, which is a Debian so far"],
  ]);
};
