import { type ByteString, fromText } from "../../../core/bytes/byte-string.ts";
import { addExamples } from "../../examples.ts";
import type { DefineCommand } from "../../frame.ts";
import { addImageOptions, type ImageOptions, parsePath } from "../../options.ts";
import { fileList, fileListValue } from "../../output/file-text.ts";

interface ListOptions extends ImageOptions {
  readonly long?: true;
  readonly recursive?: true;
}

/** `osdeploy image ls` */
export const define: DefineCommand = (command, frame) => {
  addImageOptions(command)
    .description(
      "Lists files of an image, without mounting it. Bytes that would disturb a terminal appear as \\xHH, characters that would reorder a line as \\u{HHHH}.",
    )
    .argument("[path]", "a directory or file in the image", parsePath, fromText("/"))
    .option("-l, --long", "show mode, links, owner, size and time as well")
    .option("-R, --recursive", "go into the directories below")
    .action((image: string, path: ByteString, options: ListOptions) =>
      frame.read(
        async (system) => {
          const { listImageFiles } = await import("../../../operations/list-image-files.ts");
          const request = frame.imageRequest(image, options);
          return listImageFiles(system, { ...request, path, recursive: options.recursive === true });
        },
        { text: (files) => fileList(files, { long: options.long === true }), json: fileListValue },
      ),
    );
  addExamples(command, [
    ["osdeploy image ls quay.io/os:latest /usr/lib/modules", "the kernels in an image"],
    ["osdeploy image ls -lR quay.io/os:latest", "all files with their metadata"],
  ]);
};
