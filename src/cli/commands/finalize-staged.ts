import type { ByteString } from "../../core/bytes/byte-string.ts";
import { addExamples } from "../examples.ts";
import type { DefineCommand } from "../frame.ts";
import { sysrootOption } from "../options.ts";
import { finalizeStagedText, finalizeStagedValue } from "../output/deployment-text.ts";

interface FinalizeStagedOptions {
  readonly sysroot: ByteString;
}

/** `osdeploy finalize-staged` */
export const define: DefineCommand = (command, frame) => {
  command
    .description(
      "Commits what is staged: merges /etc again as it is now, and adds the boot entry. A systemd unit runs it at shutdown. With nothing " +
        "staged it says nothing, and run twice it commits once. When it fails the machine boots what it booted before, and the next " +
        "status tells why.",
    )
    .addOption(sysrootOption())
    .action((options: FinalizeStagedOptions) =>
      frame.write(
        async (system) => {
          const { finalizeStaged } = await import("../../operations/finalize-staged.ts");
          return finalizeStaged(system, { sysroot: options.sysroot });
        },
        { text: finalizeStagedText, json: finalizeStagedValue },
      ),
    );
  addExamples(command, [["osdeploy finalize-staged", "what the unit runs at shutdown"]]);
};
