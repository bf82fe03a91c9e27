import type { ByteString } from "../../core/bytes/byte-string.ts";
import { addExamples } from "../examples.ts";
import type { DefineCommand } from "../frame.ts";
import { repoOption } from "../options.ts";
import { imagesText } from "../output/image-text.ts";

interface ImagesOptions {
  readonly repo?: ByteString;
}

/** `osdeploy images` */
export const define: DefineCommand = (command, frame) => {
  command
    .description("Lists the images in the repo by their tags. One that is damaged is listed too, with what is wrong.")
    .addOption(repoOption())
    .action((options: ImagesOptions) =>
      frame.read(
        async (system) => {
          const { listImages } = await import("../../operations/list-images.ts");
          return listImages(system, { repo: options.repo ?? frame.defaultRepo() });
        },
        { text: imagesText },
      ),
    );
  addExamples(command, [
    ["osdeploy images", "the images in the system's repo"],
    ["osdeploy images --json", "with full digests, as JSON"],
  ]);
};
