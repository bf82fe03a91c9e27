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
      "Tells what a pull of an image would cost before it is begun: bytes to fetch, files that would be new in the repo, and which files " +
        "and packages are others than in the image there that is most like it. It reads the image's documents and, of zstd:chunked " +
        "layers, tables and package databases; nothing is written. Of such an image all is exact but for the gaps between missing " +
        "parts, which a fast link fetches with them, and for files that the repo has only in layers that it never measured, which count as new. " +
        "Of other layers the download is exact, and what they bring is not known before they are here. " +
        "For a machine, with boot partition and what would be pruned: osdeploy switch --dry-run, osdeploy upgrade --check.",
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
        { text: (plan) => planText(plan, frame.options) },
      ),
    );
  addExamples(command, [
    ["osdeploy plan quay.io/os:latest", "what an upgrade to it would fetch, write and change"],
    ["osdeploy plan -v quay.io/os:latest", "with every layer, package and file"],
  ]);
};
