import { addExamples } from "../../examples.ts";
import type { DefineCommand } from "../../frame.ts";
import { type LabWords, labOf, labOption } from "../../lab-options.ts";

/** `osdeploy lab ssh` */
export const define: DefineCommand = (command, frame) => {
  command
    .description(
      "Gives a root shell in a machine, or runs a command there. Waits until the guest's ssh answers. The exit status is the command's.",
    )
    .argument("<name>", "the machine")
    .argument("[command...]", "a command and its words; behind -- where they look like options")
    .addOption(labOption())
    .action((name: string, words: readonly string[], options: LabWords) =>
      frame.read(
        async (system) => {
          const { labSsh } = await import("../../../operations/lab-access.ts");
          return labSsh(system, { lab: labOf(options, frame), name, command: words });
        },
        { text: () => "", json: "as-text", status: ({ status }) => status },
      ),
    );
  addExamples(command, [
    ["osdeploy lab ssh os", "a shell in the machine os"],
    ["osdeploy lab ssh os -- findmnt --verify", "one command"],
  ]);
};
