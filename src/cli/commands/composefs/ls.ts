import { addExamples } from "../../examples.ts";
import type { DefineCommand } from "../../frame.ts";
import { addInfoOptions, type InfoOptions, readInfoWords } from "../../info-words.ts";
import { linePieces } from "../../output/line-pieces.ts";

/** `osdeploy composefs ls` */
export const define: DefineCommand = (command, frame) => {
  addInfoOptions(command)
    .description(
      "Lists the files in composefs images with their objects and targets, as composefs-info ls does. --json changes nothing.",
    )
    .action(async (words: readonly string[], options: InfoOptions) => {
      const request = readInfoWords(words, options, command);
      await frame.read(
        async (system) => {
          const { listComposefs } = await import("../../../operations/composefs-info.ts");
          return listComposefs(system, request);
        },
        { text: linePieces, json: "as-text" },
      );
    });
  addExamples(command, [["osdeploy composefs ls --filter=usr root.cfs", "what is below /usr"]]);
};
