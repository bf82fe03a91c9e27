import { addExamples } from "../../examples.ts";
import type { DefineCommand } from "../../frame.ts";
import { readPaths } from "../../info-words.ts";

/** `osdeploy composefs measure` */
export const define: DefineCommand = (command, frame) => {
  command
    .description(
      "Prints the fs-verity sha256 digest of each file: the kernel's own where the file is sealed, else computed. As " +
        "composefs-info measure-file does.",
    )
    .argument("[files...]", "files of any kind")
    .action(async (words: readonly string[]) => {
      const paths = readPaths(words, "files", command);
      await frame.read(
        async (system) => {
          const { measureFiles } = await import("../../../operations/composefs-info.ts");
          return measureFiles(system, { paths });
        },
        { text: (digests) => digests.map((digest) => `${digest}\n`).join("") },
      );
    });
  addExamples(command, [["osdeploy composefs measure root.cfs", "the name that an image has in images/"]]);
};
