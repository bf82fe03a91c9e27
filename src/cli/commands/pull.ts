import { type ByteString, toText } from "../../core/bytes/byte-string.ts";
import { addExamples } from "../examples.ts";
import type { DefineCommand } from "../frame.ts";
import { repoOption } from "../options.ts";
import { pullText } from "../output/image-text.ts";
import { addSourceOptions, imageHelp, type SourceWords, sourceRequest } from "../source-options.ts";

interface PullOptions extends SourceWords {
  readonly repo?: ByteString;
  readonly bootable?: true;
  readonly repair?: true;
}

/** `osdeploy pull` */
export const define: DefineCommand = (command, frame) => {
  addSourceOptions(command)
    .description(
      "Brings an image into the repo: only the layers that the repo lacks, only the files that no other image has. Every digest " +
        "that the image promises is checked on the way. It needs the directory /usr, whose metadata its root gets. The image keeps its name as a tag, which protects it from repo gc. " +
        "A plain directory becomes an image of one layer, hard links and all; its files share their blocks with the repo where the " +
        "file system can, and an unchanged directory gives the same image again.",
    )
    .argument("<image>", imageHelp)
    .addOption(repoOption())
    .option("--bootable", "make the root image that boots, too; it has the SELinux labels of the image's own policy")
    .option(
      "--repair",
      "read all files of the image that are here, and bring again those that are damaged (with their whole layers, where these are " +
        "not zstd:chunked); without it nothing that is here is read",
    )
    .action((image: string, options: PullOptions) =>
      frame.write(
        async (system) => {
          const { pull } = await import("../../operations/pull.ts");
          const repo = options.repo ?? frame.defaultRepo();
          const { bootable = false, repair = false } = options;
          return pull(system, { ...sourceRequest(image, options, frame), repo, bootable, repair });
        },
        {
          text: pullText,
          whenFull: `osdeploy repo gc${options.repo === undefined ? "" : ` --repo ${toText(options.repo)}`}`,
        },
      ),
    );
  addExamples(command, [
    ["osdeploy pull quay.io/os:latest", "from a registry, into the system's repo"],
    ["osdeploy pull --tls-verify=false localhost:5000/os:v2 --repo /srv/repo", "from a registry in the lab"],
    ["osdeploy pull --bootable oci-archive:os.tar", "from an archive, with the root image that boots"],
    ["osdeploy pull --repair --bootable quay.io/os:latest@sha256:…", "mend what fsck has found damaged"],
    ["osdeploy pull --progress=json quay.io/os:latest 2>progress.jsonl", "for a program that shows the progress"],
  ]);
};
