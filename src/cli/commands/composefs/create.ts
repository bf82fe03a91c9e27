import { type CreateOptions, createOutput, createRequest, readCreateWords } from "../../create-words.ts";
import { addExamples } from "../../examples.ts";
import type { DefineCommand } from "../../frame.ts";
import { refuseLeadingOptions } from "../../info-words.ts";

/** `osdeploy composefs create` */
export const define: DefineCommand = (command, frame) => {
  command
    .description(
      "Makes a composefs image file from a directory, or with --from-file from composefs-dump(5) text. Options, output, error " +
        "texts and exit status are those of mkcomposefs, and so is every byte of the image. A file that is there already is " +
        "replaced in one step, and stays where something fails. A dump whose digests all have 128 digits is one of a sha512 " +
        "repo and makes an image for it; mkcomposefs takes the first 64 of longer digests, which no file can have. Digests with less than 64 " +
        "digits or with others than hex, and hard links to directories, are refused here; of them mkcomposefs makes images with the " +
        "digest of no file, or with a cycle.",
    )
    .usage("[options] SOURCE IMAGE")
    .argument(
      "[words...]",
      "SOURCE: a directory, or a dump with --from-file, where - is standard input; IMAGE: - is standard output",
    )
    .option("--digest-store <path>", "copy contents of more than 64 bytes into this directory, named by digest")
    .option("--use-epoch", "make all mtimes zero")
    .option("--skip-devices", "leave out device nodes")
    .option("--skip-xattrs", "leave out all xattrs")
    .option("--user-xattrs", "leave out all xattrs but user.*")
    .option("--print-digest", "print the image's fs-verity digest")
    .option("--print-digest-only", "print the digest, and write no image")
    .option("--from-file", "the source is a dump, not a directory")
    .option("--min-version <n>", "the lowest format version to use (default: 0)")
    .option("--max-version <n>", "the highest format version to use (default: 1, or 0 with --min-version)")
    .option("--threads <n>", "accepted as mkcomposefs accepts it; changes nothing")
    .action(async (given: readonly string[], options: CreateOptions) => {
      refuseLeadingOptions(command);
      const words = readCreateWords(given, options, command);
      const request = await createRequest(words, options, frame.io);
      await frame.read(
        async (system) => {
          const { createComposefs } = await import("../../../operations/create-composefs.ts");
          return createComposefs(system, request);
        },
        {
          text: (result) => createOutput(result, words, options),
          json: words.image === "-" ? "as-text" : ({ digest, image }) => ({ digest, sizeBytes: image.length }),
        },
      );
    });
  addExamples(command, [
    ["osdeploy composefs create --digest-store=objects root root.cfs", "a directory to an image and its objects"],
    [
      "osdeploy composefs dump root.cfs | osdeploy composefs create --from-file - copy.cfs",
      "an image again from its dump",
    ],
    ["osdeploy composefs create --print-digest-only root", "only the digest"],
  ]);
};
