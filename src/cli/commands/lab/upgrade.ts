import { addExamples } from "../../examples.ts";
import type { DefineCommand } from "../../frame.ts";
import { type LabWords, labOf, labOption } from "../../lab-options.ts";
import { labUpgradeText } from "../../output/lab-text.ts";
import { addSourceOptions, imageHelp, type SourceWords, sourceRequest } from "../../source-options.ts";

/** `osdeploy lab upgrade` */
export const define: DefineCommand = (command, frame) => {
  addSourceOptions(command)
    .description(
      "Brings an image into a running machine as real machines get it: offers it to the guest as a registry for the time of the command, and lets " +
        "the guest's own osdeploy switch to it. It boots at the guest's next reboot. What osdeploy prints in the guest goes to standard error.",
    )
    .argument("<name>", "the machine")
    .argument("<image>", imageHelp)
    .option("--apply", "reboot the guest into it")
    .addOption(labOption())
    .action((name: string, image: string, options: LabWords & SourceWords & { readonly apply?: true }) =>
      frame.write(
        async (system) => {
          const { upgradeLabMachine } = await import("../../../operations/lab-upgrade.ts");
          const source = sourceRequest(image, options, frame);
          return upgradeLabMachine(system, {
            ...source,
            lab: labOf(options, frame),
            name,
            apply: options.apply === true,
          });
        },
        { text: labUpgradeText },
      ),
    );
  addExamples(command, [
    ["osdeploy lab upgrade os oci:images:v2", "stage v2 in the machine os"],
    ["osdeploy lab upgrade --apply os quay.io/os:next", "and reboot into it"],
  ]);
};
