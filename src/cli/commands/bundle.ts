import { Option } from "commander";
import type { ByteString } from "../../core/bytes/byte-string.ts";
import { readBundleWords } from "../bundle-words.ts";
import { addExamples } from "../examples.ts";
import type { DefineCommand } from "../frame.ts";
import { parsePath, refuseEmpty, repeatedOption } from "../options.ts";
import { bundleText } from "../output/bundle-text.ts";
import { addSourceOptions, imageHelp, type SourceWords, sourceRequest } from "../source-options.ts";

interface BundleOptions extends SourceWords {
  readonly hosts: readonly string[];
  readonly base: readonly string[];
  readonly repo?: ByteString;
  readonly output: ByteString;
}

/** `osdeploy bundle` */
export const define: DefineCommand = (command, frame) => {
  addSourceOptions(command)
    .description(
      "Writes one OCI archive for hosts that reach no registry: with the image's manifest and config as they are, and of its layers " +
        "what at least one of the hosts lacks. Layers that all of them have are left out; of zstd:chunked layers only the files that a " +
        "host lacks are taken. What hosts have is read from what osdeploy status --json printed there; what the older images are " +
        'made of, from the place where the image is, or from --repo. There, "osdeploy switch oci-archive:FILE" takes it as any ' +
        "other archive. Without --hosts and --base it holds the whole image, for every tool. Signatures are not in it; " +
        "it is told how many stay behind.",
    )
    .usage("[options] <image>")
    .argument("[image]", imageHelp.replace(/; rootfs:.*/, ""))
    .requiredOption("--output <file>", "the archive to write; one that is there is replaced", parsePath)
    .addOption(repeatedOption("--hosts <file...>", "files with the status of hosts, as JSON", refuseEmpty))
    .addOption(repeatedOption("--base <image>", "an older image that every host has, besides what --hosts say"))
    .addOption(
      new Option("--repo <dir>", "a repo with older images, for layers that are not zstd:chunked").argParser(parsePath),
    )
    .action((word: string | undefined, options: BundleOptions) => {
      const { image, hosts } = readBundleWords(word, options.hosts, command);
      return frame.write(
        async (system) => {
          const { bundleImage } = await import("../../operations/bundle.ts");
          const { base: bases, output, repo } = options;
          return bundleImage(system, { ...sourceRequest(image, options, frame), hosts, bases, repo, output });
        },
        { text: bundleText },
      );
    });
  addExamples(command, [
    ["osdeploy bundle quay.io/os:v2 --hosts site-a.json site-b.json --output v2.tar", "what two hosts lack"],
    ["osdeploy bundle quay.io/os:v2 --base quay.io/os:v1 --output v2.tar", "for all that have v1"],
    [
      "osdeploy switch --target-imgref quay.io/os:v2 oci-archive:v2.tar",
      "there; upgrades come from the registry again",
    ],
  ]);
};
