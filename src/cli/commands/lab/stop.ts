import { addExamples } from "../../examples.ts";
import type { DefineCommand } from "../../frame.ts";
import { type LabWords, labOf, labOption } from "../../lab-options.ts";
import { labStopText } from "../../output/lab-text.ts";

/** `osdeploy lab stop` */
export const define: DefineCommand = (command, frame) => {
  command
    .description("Switches machines off. Their disks stay: osdeploy lab run --name switches them on again.")
    .argument("<names...>", "the machines")
    .option("--force", "cut the power instead of pressing the button")
    .addOption(labOption())
    .action((names: readonly string[], options: LabWords & { readonly force?: true }) =>
      frame.write(
        async (system) => {
          const { stopLabMachines } = await import("../../../operations/lab-machines.ts");
          return stopLabMachines(system, { lab: labOf(options, frame), names, force: options.force === true });
        },
        { text: labStopText },
      ),
    );
  addExamples(command, [
    ["osdeploy lab stop os", "shut the machine os down"],
    ["osdeploy lab stop --force os", "as when the power goes"],
  ]);
};
