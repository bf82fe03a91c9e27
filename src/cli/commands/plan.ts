import type { ByteString } from "../../core/bytes/byte-string.ts";
import { addExamples } from "../examples.ts";
import type { DefineCommand } from "../frame.ts";
import { repoOption } from "../options.ts";
import { planText } from "../output/plan-text.ts";
import { addSourceOptions, imageHelp, type SourceWords, sourceRequest } from "../source-options.ts";

interface PlanOptions extends SourceWords {
  readonly repo?: ByteString;
}

/** `osdeploy plan` */
export const define: DefineCommand = (command, frame) => {
  addSourceOptions(command)
    .description(
      "Tells what a pull of an image would cost before it is begun: bytes to fetch, and files that would be new in the repo. It reads " +
        "the image's documents and, of zstd:chunked layers, the table of contents; nothing is written. Of other layers the size " +
        "of the download is known, but not what they bring.",
    )
    .argument("<image>", imageHelp.replace(/; rootfs:.*/, ""))
    .addOption(repoOption())
    .action((image: string, options: PlanOptions) =>
      frame.read(
        async (system) => {
          const { planImage } = await import("../../operations/plan-image.ts");
          const repo = options.repo ?? frame.defaultRepo();
          return planImage(system, { ...sourceRequest(image, options, frame), repo });
        },
        { text: planText },
      ),
    );
  addExamples(command, [["osdeploy plan quay.io/os:latest", "what an upgrade to it would fetch and write"]]);
};
