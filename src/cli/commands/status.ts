import type { ByteString } from "../../core/bytes/byte-string.ts";
import { addExamples } from "../examples.ts";
import type { DefineCommand } from "../frame.ts";
import { sysrootOption } from "../options.ts";
import { statusText } from "../output/status-text.ts";

interface StatusOptions {
  readonly sysroot: ByteString;
}

/** `osdeploy status` */
export const define: DefineCommand = (command, frame) => {
  command
    .description(
      "Shows the deployments of a sysroot: which one boots next, what each follows, its root image and its boot entries. Damaged " +
        "deployments and boot entries of other programs are named, and never keep the rest from being shown. What was staged and went " +
        "with a power cut or a failed shutdown is told, with the command that stages it again.",
    )
    .addOption(sysrootOption())
    .action((options: StatusOptions) =>
      frame.read(
        async (system) => {
          const { status } = await import("../../operations/status.ts");
          return status(system, { sysroot: options.sysroot });
        },
        { text: (result) => statusText(result, frame.options) },
      ),
    );
  addExamples(command, [
    ["osdeploy status", "this machine"],
    ["osdeploy status --sysroot /mnt --json", "a sysroot that is mounted elsewhere, as JSON"],
  ]);
};
