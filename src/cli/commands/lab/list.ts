import { addExamples } from "../../examples.ts";
import type { DefineCommand } from "../../frame.ts";
import { type LabWords, labOf, labOption } from "../../lab-options.ts";
import { labListText } from "../../output/lab-text.ts";

/** `osdeploy lab list` */
export const define: DefineCommand = (command, frame) => {
  command
    .description("Lists the machines of the lab: whether they run, where their ssh is, and what they were made from.")
    .addOption(labOption())
    .action((options: LabWords) =>
      frame.read(
        async (system) => {
          const { listLabMachines } = await import("../../../operations/lab-machines.ts");
          return listLabMachines(system, labOf(options, frame));
        },
        { text: labListText },
      ),
    );
  addExamples(command, [["osdeploy lab list", "all machines"]]);
};
