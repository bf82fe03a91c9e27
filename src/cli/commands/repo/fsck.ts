import type { ByteString } from "../../../core/bytes/byte-string.ts";
import { addExamples } from "../../examples.ts";
import { exitStatuses, successStatus } from "../../exit-status.ts";
import type { DefineCommand } from "../../frame.ts";
import { repoOption } from "../../options.ts";
import { checkRepoText } from "../../output/repo-text.ts";

interface FsckOptions {
  readonly repo?: ByteString;
  readonly metadataOnly?: true;
}

/** `osdeploy repo fsck` */
export const define: DefineCommand = (command, frame) => {
  command
    .description(
      "Checks the repo and changes nothing. Reads every byte of every object, and tells which images need a damaged or " +
        "missing one. What is damaged, osdeploy pull --repair brings again. The exit status is 8 when something is damaged.",
    )
    .addOption(repoOption())
    .option("--metadata-only", "check names, links, streams and root images, and do not read the objects")
    .action((options: FsckOptions) => {
      const metadataOnly = options.metadataOnly === true;
      return frame.read(
        async (system) => {
          const { checkRepo } = await import("../../../operations/check-repo.ts");
          return checkRepo(system, { repo: options.repo ?? frame.defaultRepo(), metadataOnly });
        },
        {
          text: (report) => checkRepoText(report, { metadataOnly }),
          status: (report) => (report.ok ? successStatus : exitStatuses.damaged),
        },
      );
    });
  addExamples(command, [
    ["osdeploy repo fsck", "read everything"],
    ["osdeploy repo fsck --metadata-only --json", "only the structure, as JSON"],
  ]);
};
