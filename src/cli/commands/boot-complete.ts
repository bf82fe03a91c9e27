import type { ByteString } from "../../core/bytes/byte-string.ts";
import { addExamples } from "../examples.ts";
import type { DefineCommand } from "../frame.ts";
import { sysrootOption } from "../options.ts";
import { bootCompleteText } from "../output/deployment-text.ts";

interface BootCompleteOptions {
  readonly sysroot: ByteString;
}

/** `osdeploy boot-complete` */
export const define: DefineCommand = (command, frame) => {
  command
    .description(
      "Takes note that this boot was good: takes the counters from its boot entry, puts images whose boots failed into quarantine with the " +
        "reason and the end of their boot log, tells when the loader did not count this boot, and replaces a systemd-boot or GRUB that osdeploy installed by the image's where that is newer, which keeps the one before in EFI/osdeploy. " +
        "At last it marks in /run whether there is something for osdeploy-gc.service to take away. " +
        "A systemd unit runs it when boot-complete.target is reached; run again it changes nothing.",
    )
    .addOption(sysrootOption())
    .action((options: BootCompleteOptions) =>
      frame.write(
        async (system) => {
          const { bootComplete } = await import("../../operations/boot-complete.ts");
          return bootComplete(system, { sysroot: options.sysroot });
        },
        { text: bootCompleteText },
      ),
    );
  addExamples(command, [["osdeploy boot-complete", "what the unit runs after a good boot"]]);
};
