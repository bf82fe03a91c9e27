import type { ByteString } from "../../../core/bytes/byte-string.ts";
import { addExamples } from "../../examples.ts";
import type { DefineCommand } from "../../frame.ts";
import { repoOption } from "../../options.ts";
import { untaggedText } from "../../output/image-text.ts";

interface UntagOptions {
  readonly repo?: ByteString;
}

/** `osdeploy image untag` */
export const define: DefineCommand = (command, frame) => {
  command
    .description(
      "Takes names of images away. Objects that no other image and no deployment needs go with the next " +
        '"osdeploy repo gc". The names that keep deployments are left alone.',
    )
    .argument("<image...>", "tags, or references that were pulled")
    .addOption(repoOption())
    .action((images: string[], options: UntagOptions) =>
      frame.write(
        async (system) => {
          const { untagImages } = await import("../../../operations/untag-image.ts");
          return untagImages(system, { images, repo: options.repo ?? frame.defaultRepo() });
        },
        { text: untaggedText },
      ),
    );
  addExamples(command, [["osdeploy image untag quay.io/os:1", "keep this image no longer"]]);
};
