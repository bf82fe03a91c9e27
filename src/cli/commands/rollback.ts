import type { ByteString } from "../../core/bytes/byte-string.ts";
import { addExamples } from "../examples.ts";
import type { DefineCommand } from "../frame.ts";
import { gcCommand, sysrootOption } from "../options.ts";
import { rollbackText } from "../output/deployment-text.ts";

interface RollbackOptions {
  readonly sysroot: ByteString;
  readonly apply?: true;
}

/** `osdeploy rollback` */
export const define: DefineCommand = (command, frame) => {
  command
    .description(
      "Lets the deployment before the default boot next, with the /etc that it had. The image that it leads away from goes into " +
        "quarantine, so that no upgrade brings it back by itself. What was staged is dropped, also where there is nothing to go " +
        "back to. Run again before the reboot, it takes the rollback back.",
    )
    .addOption(sysrootOption())
    .option("--apply", "reboot at once")
    .action((options: RollbackOptions) =>
      frame.write(
        async (system) => {
          const { rollback } = await import("../../operations/rollback.ts");
          return rollback(system, { sysroot: options.sysroot, apply: options.apply === true });
        },
        { text: rollbackText, whenFull: gcCommand(options.sysroot) },
      ),
    );
  addExamples(command, [
    ["osdeploy rollback", "the deployment before boots next"],
    ["osdeploy rollback --apply", "the same, and reboot at once"],
  ]);
};
