import { addExamples } from "../../examples.ts";
import type { DefineCommand } from "../../frame.ts";
import { addInfoOptions, type InfoOptions, readInfoWords } from "../../info-words.ts";
import { linePieces } from "../../output/line-pieces.ts";

/** `osdeploy composefs dump` */
export const define: DefineCommand = (command, frame) => {
  addInfoOptions(command)
    .description(
      "Prints the trees of composefs images as composefs-dump(5) text, as composefs-info dump does. --json changes nothing.",
    )
    .action(async (words: readonly string[], options: InfoOptions) => {
      const request = readInfoWords(words, options, command);
      await frame.read(
        async (system) => {
          const { dumpComposefs } = await import("../../../operations/composefs-info.ts");
          return dumpComposefs(system, request);
        },
        { text: linePieces, json: "as-text" },
      );
    });
  addExamples(command, [["osdeploy composefs dump root.cfs", "what is in an image, with all metadata"]]);
};
