import { addExamples } from "../../examples.ts";
import type { DefineCommand } from "../../frame.ts";
import { type ImageOptions, repoOption } from "../../options.ts";
import { diffText, diffValue } from "../../output/file-text.ts";

/** `osdeploy image diff` */
export const define: DefineCommand = (command, frame) => {
  command
    .description(
      "Compares the files of two images: A is added, D is gone, M has changed, with what of it. Then how many objects both " +
        "share, that is, what the repo holds once.",
    )
    .argument("<before>", "an image in the repo")
    .argument("<after>", "another one")
    .addOption(repoOption())
    .option("--bootable", "compare the trees that boot: with SELinux labels, and with /boot and /sysroot emptied")
    .action((before: string, after: string, options: ImageOptions) =>
      frame.read(
        async (system) => {
          const { diffImages } = await import("../../../operations/diff-images.ts");
          const { repo, bootable } = frame.imageRequest(before, options);
          return diffImages(system, { repo, before, after, bootable });
        },
        { text: diffText, json: diffValue },
      ),
    );
  addExamples(command, [["osdeploy image diff quay.io/os:1 quay.io/os:2", "what an upgrade changes"]]);
};
