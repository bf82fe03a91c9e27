import type { ByteString } from "../../../core/bytes/byte-string.ts";
import { addExamples } from "../../examples.ts";
import type { DefineCommand } from "../../frame.ts";
import { sysrootOption } from "../../options.ts";
import { leftQuarantineText } from "../../output/quarantine-text.ts";

interface RemoveOptions {
  readonly sysroot: ByteString;
}

/** `osdeploy quarantine remove` */
export const define: DefineCommand = (command, frame) => {
  command
    .description("Takes an image out of quarantine, so that the next upgrade may bring it again.")
    .argument("<digest>", "the digest of its manifest, or the first four or more digits of it")
    .addOption(sysrootOption())
    .action((digest: string, options: RemoveOptions) =>
      frame.write(
        async (system) => {
          const { leaveQuarantine } = await import("../../../operations/quarantine.ts");
          return leaveQuarantine(system, { digest, sysroot: options.sysroot });
        },
        { text: leftQuarantineText },
      ),
    );
  addExamples(command, [["osdeploy quarantine remove sha256:3f1a90", "the beginning of a digest is enough"]]);
};
