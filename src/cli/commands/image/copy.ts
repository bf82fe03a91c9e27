import type { ByteString } from "../../../core/bytes/byte-string.ts";
import {
  addLoginOptions,
  addPackingOptions,
  destinationHelp,
  destinationRequest,
  type PackingWords,
} from "../../destination-options.ts";
import { addExamples } from "../../examples.ts";
import type { DefineCommand } from "../../frame.ts";
import { copiedImageText } from "../../output/copied-image-text.ts";
import { addSourceOptions, imageHelp, type SourceWords, sourceRequest } from "../../source-options.ts";

interface CopyOptions extends PackingWords, SourceWords {
  readonly destTlsVerify: boolean;
  readonly destAuthfile?: ByteString;
  readonly destCreds?: string;
  readonly removeSignatures?: true;
  readonly all?: true;
}

/** `osdeploy image copy` */
export const define: DefineCommand = (command, frame) => {
  command
    .description(
      "Copies an image to a registry, an OCI layout or an archive, without a repo and without keeping it here. Every digest is checked " +
        "on the way, and the signature policy is asked first. As long as no compression is asked for, all bytes and digests stay; " +
        "otherwise only layers that are compressed in another way are compressed anew. Of an index the image of one platform is " +
        "copied, or with --all everything that it names, as it is; then the policy is asked about each of its parts. Signatures, " +
        "attestations and what else refers to the image go along between registries, as long as its digest stays; a layout or archive cannot hold them.",
    )
    .argument("<source>", imageHelp.replace(/; rootfs:.*/, ""))
    .argument("<destination>", destinationHelp);
  addPackingOptions(command, "as they are")
    .option("--remove-signatures", "copy the image alone, without its signatures")
    .option("--all", "copy an index with the images of all platforms, and what else it names");
  addSourceOptions(addLoginOptions(command, "dest-")).action(
    (source: string, destination: string, options: CopyOptions) =>
      frame.write(
        async (system) => {
          const { copyImage } = await import("../../../operations/copy-image.ts");
          const { destTlsVerify: tlsVerify, destAuthfile, destCreds: creds } = options;
          const login = { tlsVerify, authfile: destAuthfile ?? options.authfile, creds };
          const target = destinationRequest(destination, { packing: options, login }, frame);
          const how = { removeSignatures: options.removeSignatures === true, all: options.all === true };
          return copyImage(system, { ...sourceRequest(source, options, frame), ...target, ...how });
        },
        { text: copiedImageText },
      ),
  );
  addExamples(command, [
    ["osdeploy image copy quay.io/os:latest oci-archive:os.tar", "as it is, into a file"],
    ["osdeploy image copy --all quay.io/os:latest docker://registry.example/os:latest", "every platform of it"],
    ["osdeploy image copy oci:build:v2 docker://registry.example/os:v2", "from a build's directory to a registry"],
    [
      "osdeploy image copy --compression=zstd:chunked quay.io/os:v2 docker://registry.example/os:v2",
      "made partial-pullable",
    ],
  ]);
};
