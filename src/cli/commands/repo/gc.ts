import type { ByteString } from "../../../core/bytes/byte-string.ts";
import { addExamples } from "../../examples.ts";
import type { DefineCommand } from "../../frame.ts";
import { repoOption } from "../../options.ts";
import { collectGarbageText, collectGarbageValue } from "../../output/repo-text.ts";

interface GcOptions {
  readonly repo?: ByteString;
  readonly dryRun?: true;
}

/** `osdeploy repo gc` */
export const define: DefineCommand = (command, frame) => {
  command
    .description(
      "Removes what nothing in the repo refers to: objects, streams and root images that no tag and no deployment reaches, and " +
        "what a run that stopped in the middle left behind. Files that do not belong to a repo are told and left alone.",
    )
    .addOption(repoOption())
    .option("-n, --dry-run", "tell what would go, and remove nothing")
    .action((options: GcOptions) =>
      frame.write(
        async (system) => {
          const { collectGarbage } = await import("../../../operations/collect-garbage.ts");
          return collectGarbage(system, { repo: options.repo ?? frame.defaultRepo(), dryRun: options.dryRun === true });
        },
        { text: (result) => collectGarbageText(result, frame.options), json: collectGarbageValue },
      ),
    );
  addExamples(command, [
    ["osdeploy repo gc --dry-run --verbose", "every name that would go"],
    ["osdeploy repo gc", "remove it"],
  ]);
};
