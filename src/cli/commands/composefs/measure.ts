import { type ByteString, fromText } from "../../../core/bytes/byte-string.ts";
import { addExamples } from "../../examples.ts";
import type { DefineCommand } from "../../frame.ts";
import { addInfoOptions, type InfoOptions, readFileWords } from "../../info-words.ts";
import { linePieces } from "../../output/line-pieces.ts";

/** `osdeploy composefs measure` */
export const define: DefineCommand = (command, frame) => {
  addInfoOptions(command, ["[files...]", "files of any kind"])
    .description(
      "Prints the fs-verity sha256 digest of each file: the kernel's own where the file is sealed, else computed. As " +
        "composefs-info measure-file does.",
    )
    .action(async (words: readonly string[], options: InfoOptions) => {
      const paths = readFileWords(words, options, command);
      await frame.read(
        async (system) => {
          const { measureFiles } = await import("../../../operations/composefs-info.ts");
          return measureFiles(system, { paths });
        },
        { text: (digests) => linePieces(digestLines(digests)), json: (digests) => [...digests] },
      );
    });
  addExamples(command, [["osdeploy composefs measure root.cfs", "the name that an image has in images/"]]);
};

function* digestLines(digests: Iterable<string>): Generator<ByteString> {
  for (const digest of digests) yield fromText(`${digest}\n`);
}
