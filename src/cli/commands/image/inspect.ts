import { addExamples } from "../../examples.ts";
import type { DefineCommand } from "../../frame.ts";
import { type ImageOptions, imageWords, repoOption } from "../../options.ts";
import { inspectText } from "../../output/image-text.ts";

/** `osdeploy image inspect` */
export const define: DefineCommand = (command, frame) => {
  command
    .description(
      "Shows what is known of an image: its digests, root images and layers. With --json also its manifest and config, as " +
        "the registry has them.",
    )
    .argument("<image>", imageWords)
    .addOption(repoOption())
    .action((image: string, options: ImageOptions) =>
      frame.read(
        async (system) => {
          const { inspectImage } = await import("../../../operations/inspect-image.ts");
          return inspectImage(system, { image, repo: options.repo ?? frame.defaultRepo() });
        },
        { text: inspectText },
      ),
    );
  addExamples(command, [["osdeploy image inspect quay.io/os:latest --json", "everything, as JSON"]]);
};
