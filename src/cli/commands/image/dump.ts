import { addExamples } from "../../examples.ts";
import type { DefineCommand } from "../../frame.ts";
import { addImageOptions, type ImageOptions } from "../../options.ts";
import { linePieces } from "../../output/line-pieces.ts";

/** `osdeploy image dump` */
export const define: DefineCommand = (command, frame) => {
  addImageOptions(command)
    .description(
      "Prints the whole tree of an image as composefs-dump(5) text: each file's metadata, xattrs and digest. From a repo " +
        "with sha256, mkcomposefs and composefs create can read it. --json changes nothing.",
    )
    .action((image: string, options: ImageOptions) =>
      frame.read(
        async (system) => {
          const { dumpImage } = await import("../../../operations/dump-image.ts");
          return dumpImage(system, frame.imageRequest(image, options));
        },
        { text: ({ lines }) => linePieces(lines), json: "as-text" },
      ),
    );
  addExamples(command, [
    ["osdeploy image dump quay.io/os:latest >os.dump", "keep an image's tree as text, to compare it"],
  ]);
};
