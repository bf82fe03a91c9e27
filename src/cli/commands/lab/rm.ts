import { addExamples } from "../../examples.ts";
import type { DefineCommand } from "../../frame.ts";
import { type LabWords, labOf, labOption } from "../../lab-options.ts";
import { labRemoveText } from "../../output/lab-text.ts";

interface RemoveOptions extends LabWords {
  readonly force?: true;
  readonly keepDisks?: true;
}

/** `osdeploy lab rm` */
export const define: DefineCommand = (command, frame) => {
  command
    .description(
      "Removes machines with all that was written in them, and installed disks that no machine begins with any more.",
    )
    .argument("<names...>", "the machines")
    .option("--force", "also machines that run: their power is cut")
    .option("--keep-disks", "keep the installed disks, so that the next machine of that image starts sooner")
    .addOption(labOption())
    .action((names: readonly string[], options: RemoveOptions) =>
      frame.write(
        async (system) => {
          const { removeLabMachines } = await import("../../../operations/lab-machines.ts");
          const { force = false, keepDisks = false } = options;
          return removeLabMachines(system, { lab: labOf(options, frame), names, force, keepDisks });
        },
        { text: labRemoveText },
      ),
    );
  addExamples(command, [["osdeploy lab rm --force os", "the machine os, whether it runs or not"]]);
};
