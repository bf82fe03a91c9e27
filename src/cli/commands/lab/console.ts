import { addExamples } from "../../examples.ts";
import type { DefineCommand } from "../../frame.ts";
import { type LabWords, labOf, labOption } from "../../lab-options.ts";

/** `osdeploy lab console` */
export const define: DefineCommand = (command, frame) => {
  command
    .description(
      "Connects the terminal to a machine's serial console, where firmware, loader, kernel and initramfs speak too. Ctrl-] ends it.",
    )
    .argument("<name>", "the machine")
    .option("--log", "print what the console has said so far instead")
    .addOption(labOption())
    .action(async (name: string, options: LabWords & { readonly log?: true }) => {
      const request = { lab: labOf(options, frame), name };
      const operations = () => import("../../../operations/lab-access.ts");
      if (options.log === true) {
        await frame.read(async (system) => (await operations()).labConsoleLog(system, request), {
          text: (log) => log,
          json: "as-text",
        });
      } else {
        await frame.read(async (system) => (await operations()).labConsole(system, request), {
          text: () => "",
          json: "as-text",
          status: ({ status }) => status,
        });
      }
    });
  addExamples(command, [
    ["osdeploy lab console os", "log in on the console of the machine os"],
    ["osdeploy lab console --log os", "why it does not boot"],
  ]);
};
