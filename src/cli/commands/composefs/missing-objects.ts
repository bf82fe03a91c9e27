import { addExamples } from "../../examples.ts";
import type { DefineCommand } from "../../frame.ts";
import { addInfoOptions, type InfoOptions, readInfoWords } from "../../info-words.ts";
import { linePieces } from "../../output/line-pieces.ts";

/** `osdeploy composefs missing-objects` */
export const define: DefineCommand = (command, frame) => {
  addInfoOptions(command)
    .description(
      "Lists the objects that composefs images need and the object directory does not have, as composefs-info " +
        "missing-objects does. --json changes nothing.",
    )
    .action(async (words: readonly string[], options: InfoOptions) => {
      const request = readInfoWords(words, options, command);
      await frame.read(
        async (system) => {
          const { missingComposefsObjects } = await import("../../../operations/composefs-info.ts");
          return missingComposefsObjects(system, request);
        },
        { text: linePieces, json: "as-text" },
      );
    });
  addExamples(command, [
    ["osdeploy composefs missing-objects --basedir=objects root.cfs", "what has still to be copied"],
  ]);
};
