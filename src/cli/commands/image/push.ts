import type { ByteString } from "../../../core/bytes/byte-string.ts";
import {
  addLoginOptions,
  addPackingOptions,
  destinationHelp,
  destinationRequest,
  type LoginWords,
  type PackingWords,
} from "../../destination-options.ts";
import { addExamples } from "../../examples.ts";
import type { DefineCommand } from "../../frame.ts";
import { imageWords, repoOption } from "../../options.ts";
import { sentImageText } from "../../output/sent-image-text.ts";

interface PushOptions extends PackingWords, LoginWords {
  readonly repo?: ByteString;
}

/** `osdeploy image push` */
export const define: DefineCommand = (command, frame) => {
  command
    .description(
      "Writes an image of the repo to a registry, an OCI layout or an archive. The layers are put together again bit for bit and " +
        "compressed anew; config and diff ids stay, so that whoever pulls it gets the same root image. Layers of zstd:chunked can be " +
        "pulled in parts. Equal images and options give equal bytes. What the destination has is not sent again, and the name is " +
        "set last. The manifest is a new one: sign it there, for signatures of the old one do not hold.",
    )
    .argument("<image>", imageWords)
    .argument("<destination>", destinationHelp)
    .addOption(repoOption());
  addLoginOptions(addPackingOptions(command, "zstd"), "").action(
    (image: string, destination: string, options: PushOptions) =>
      frame.write(
        async (system) => {
          const { pushImage } = await import("../../../operations/push-image.ts");
          const repo = options.repo ?? frame.defaultRepo();
          const target = destinationRequest(destination, { packing: options, login: options }, frame);
          return pushImage(system, { image, repo, ...target });
        },
        { text: sentImageText },
      ),
  );
  addExamples(command, [
    ["osdeploy image push quay.io/os:latest docker://registry.example/os:latest", "to a registry"],
    [
      "osdeploy image push --compression=zstd:chunked os:v2 docker://registry.example/os:v2",
      "so that an upgrade fetches only what changed",
    ],
    ["osdeploy image push quay.io/os:latest oci-archive:os.tar", "into a file, to be carried"],
  ]);
};
