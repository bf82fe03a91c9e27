import { addExamples } from "../../examples.ts";
import type { DefineCommand } from "../../frame.ts";
import { addInfoOptions, type InfoOptions, readInfoWords } from "../../info-words.ts";
import { linePieces } from "../../output/line-pieces.ts";

/** `osdeploy composefs objects` */
export const define: DefineCommand = (command, frame) => {
  addInfoOptions(command)
    .description(
      "Lists the objects that composefs images need, each once, in order, as composefs-info objects does. --json changes nothing.",
    )
    .action(async (words: readonly string[], options: InfoOptions) => {
      const request = readInfoWords(words, options, command);
      await frame.read(
        async (system) => {
          const { composefsObjects } = await import("../../../operations/composefs-info.ts");
          return composefsObjects(system, request);
        },
        { text: linePieces, json: "as-text" },
      );
    });
  addExamples(command, [["osdeploy composefs objects root.cfs", "what an object directory must hold"]]);
};
