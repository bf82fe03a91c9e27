import { addExamples } from "../../examples.ts";
import type { DefineCommand } from "../../frame.ts";
import { addImageOptions, type ImageOptions } from "../../options.ts";

/** `osdeploy image digest` */
export const define: DefineCommand = (command, frame) => {
  addImageOptions(command)
    .description(
      "Prints the id of an image's root image in hex, alone on a line: what the kernel argument composefs= names. Where the " +
        "repo has no such root image, it is made in memory, and nothing is written.",
    )
    .action((image: string, options: ImageOptions) =>
      frame.read(
        async (system) => {
          const { imageDigest } = await import("../../../operations/image-digest.ts");
          return imageDigest(system, frame.imageRequest(image, options));
        },
        { text: ({ rootImage }) => `${rootImage}\n` },
      ),
    );
  addExamples(command, [
    ["osdeploy image digest quay.io/os:latest", "the root image to look at"],
    ["osdeploy image digest --bootable quay.io/os:latest", "the one that boots"],
  ]);
};
