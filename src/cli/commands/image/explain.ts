import type { ByteString } from "../../../core/bytes/byte-string.ts";
import { addExamples } from "../../examples.ts";
import type { DefineCommand } from "../../frame.ts";
import { parsePath, repoOption } from "../../options.ts";
import { explainText } from "../../output/explain-text.ts";
import { addSourceOptions, offeredImage, type SourceWords } from "../../source-options.ts";

interface ExplainOptions extends SourceWords {
  readonly repo?: ByteString;
  readonly expected?: ByteString;
  readonly fromSource?: true;
}

/** `osdeploy image explain` */
export const define: DefineCommand = (command, frame) => {
  addSourceOptions(command)
    .description(
      "Makes the root images of an image anew and compares them with the digests that are promised of them, in annotations and in " +
        "composefs artifacts that refer to the image. Where a promise does not hold, it tries what else it may have been computed " +
        "from. With --expected, a root image or a dump of the one who promised, it shows the first entry that differs. An image that " +
        "the repo does not have is looked up as a pull would; its layers are fetched and stay until the next repo gc; nothing gets " +
        "a name.",
    )
    .argument("<image>", "an image in the repo, or any that can be pulled: a refused one is not in the repo")
    .addOption(repoOption())
    .option("--expected <file>", "a root image, or composefs-dump(5) text, to compare with", parsePath)
    .option("--from-source", "explain what the image is where it comes from, also when the repo has one of that name")
    .action((image: string, options: ExplainOptions) =>
      frame.write(
        async (system) => {
          const { explainImage } = await import("../../../operations/explain-image.ts");
          const { repo = frame.defaultRepo(), expected } = options;
          const anew = options.fromSource === true;
          return explainImage(system, { repo, image, anew, expected, offered: offeredImage(image, options, frame) });
        },
        { text: explainText },
      ),
    );
  addExamples(command, [
    ["osdeploy image explain --from-source quay.io/os:latest", "why a pull says that a root image is not as promised"],
    ["osdeploy image explain --expected=build.dump quay.io/os:1", "where it differs from what the build made"],
  ]);
};
