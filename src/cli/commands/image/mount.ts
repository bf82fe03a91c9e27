import type { ByteString } from "../../../core/bytes/byte-string.ts";
import { addExamples } from "../../examples.ts";
import type { DefineCommand } from "../../frame.ts";
import { addImageOptions, type ImageOptions, parsePath } from "../../options.ts";
import { mountText } from "../../output/image-text.ts";

/** `osdeploy image mount` */
export const define: DefineCommand = (command, frame) => {
  addImageOptions(command)
    .description(
      "Mounts an image read-only, as it is mounted at boot: its root image as EROFS, below an overlay whose data are the repo's " +
        "objects. In a secure repo the kernel checks every byte that is read. Needs root.",
    )
    .argument("<directory>", "where to mount it", parsePath)
    .action((image: string, target: ByteString, options: ImageOptions) =>
      frame.write(
        async (system) => {
          const { mountImage } = await import("../../../operations/mount-image.ts");
          return mountImage(system, { ...frame.imageRequest(image, options), target });
        },
        { text: mountText },
      ),
    );
  addExamples(command, [["osdeploy image mount quay.io/os:latest /mnt", "look around in an image"]]);
};
