import type { ByteString } from "../../../core/bytes/byte-string.ts";
import { addExamples } from "../../examples.ts";
import type { DefineCommand } from "../../frame.ts";
import { sysrootOption } from "../../options.ts";
import { quarantineText } from "../../output/quarantine-text.ts";

interface ListOptions {
  readonly sysroot: ByteString;
}

/** `osdeploy quarantine list` */
export const define: DefineCommand = (command, frame) => {
  command
    .description(
      "Shows the images that no upgrade brings back by itself: those whose boots failed, and those that were rolled back from. A record is for one " +
        "image: when the tag moves to another one, that is free. With --verbose the end of the log of the boot that failed is shown.",
    )
    .addOption(sysrootOption())
    .action((options: ListOptions) =>
      frame.read(
        async (system) => {
          const { listQuarantine } = await import("../../../operations/quarantine.ts");
          return listQuarantine(system, { sysroot: options.sysroot });
        },
        { text: (records) => quarantineText(records, frame.options) },
      ),
    );
  addExamples(command, [["osdeploy quarantine list --verbose", "with the end of each boot log"]]);
};
