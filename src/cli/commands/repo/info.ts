import type { ByteString } from "../../../core/bytes/byte-string.ts";
import { addExamples } from "../../examples.ts";
import type { DefineCommand } from "../../frame.ts";
import { repoOption } from "../../options.ts";
import { repoInfoText } from "../../output/repo-text.ts";

interface InfoOptions {
  readonly repo?: ByteString;
}

/** `osdeploy repo info` */
export const define: DefineCommand = (command, frame) => {
  command
    .description("Tells what the repo is, and how much is in it.")
    .addOption(repoOption())
    .action((options: InfoOptions) =>
      frame.read(
        async (system) => {
          const { repoInfo } = await import("../../../operations/repo-info.ts");
          return repoInfo(system, { repo: options.repo ?? frame.defaultRepo() });
        },
        { text: repoInfoText },
      ),
    );
  addExamples(command, [["osdeploy repo info --repo /srv/repo", "a repo of one's own"]]);
};
