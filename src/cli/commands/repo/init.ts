import type { ByteString } from "../../../core/bytes/byte-string.ts";
import type { VerityAlgorithm } from "../../../core/digest/object-id.ts";
import { addExamples } from "../../examples.ts";
import type { DefineCommand } from "../../frame.ts";
import { algorithmOption, repoOption } from "../../options.ts";
import { initRepoText } from "../../output/repo-text.ts";

interface InitOptions {
  readonly repo?: ByteString;
  readonly fsverityAlgorithm: VerityAlgorithm;
  readonly insecure?: true;
}

/** `osdeploy repo init` */
export const define: DefineCommand = (command, frame) => {
  command
    .description(
      "Makes an empty repo. Where the same repo is already, that is fine; where another one is, or anything else, nothing is changed. " +
        "A repo is secure when its file system has fs-verity: then the kernel checks every byte that is read from it.",
    )
    .addOption(repoOption())
    .addOption(algorithmOption())
    .option("--insecure", "make a repo without fs-verity, for file systems and kernels that have none")
    .action((options: InitOptions) =>
      frame.write(
        async (system) => {
          const { initRepo } = await import("../../../operations/init-repo.ts");
          return initRepo(system, {
            repo: options.repo ?? frame.defaultRepo(),
            algorithm: options.fsverityAlgorithm,
            insecure: options.insecure === true,
            // Nothing else makes the place of a user's own repo; that of the system is below a sysroot, which has to be there.
            parents: options.repo === undefined && frame.io.uid !== 0,
          });
        },
        { text: initRepoText },
      ),
    );
  addExamples(command, [
    ["osdeploy repo init", "the system's repo, with sha512 and fs-verity"],
    ["osdeploy repo init --repo /srv/repo --fsverity-algorithm sha256 --insecure", "a repo on any file system"],
  ]);
};
