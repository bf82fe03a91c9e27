import type { ByteString } from "../../../core/bytes/byte-string.ts";
import { addExamples } from "../../examples.ts";
import type { DefineCommand } from "../../frame.ts";
import { addImageOptions, type ImageOptions, parsePath } from "../../options.ts";

/** `osdeploy image cat` */
export const define: DefineCommand = (command, frame) => {
  addImageOptions(command)
    .description(
      "Prints a file of an image, without mounting it. Symlinks are followed within the image. What is read from the repo is " +
        "checked against its digest. --json changes nothing.",
    )
    .argument("<path>", "a file in the image", parsePath)
    .action((image: string, path: ByteString, options: ImageOptions) =>
      frame.read(
        async (system) => {
          const { catImageFile } = await import("../../../operations/cat-image-file.ts");
          const write = (bytes: Uint8Array): Promise<void> => frame.io.stdout.write(bytes);
          return catImageFile(system, { ...frame.imageRequest(image, options), path, write });
        },
        { text: () => "", json: "as-text" },
      ),
    );
  addExamples(command, [["osdeploy image cat quay.io/os:latest /etc/os-release", "which system an image is"]]);
};
