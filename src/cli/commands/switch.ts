import type { ByteString } from "../../core/bytes/byte-string.ts";
import { addExamples } from "../examples.ts";
import type { DefineCommand } from "../frame.ts";
import { repeatedOption, sysrootOption } from "../options.ts";
import { switchText, switchValue } from "../output/deployment-text.ts";
import { addSourceOptions, imageHelp, type SourceWords, sourceRequest } from "../source-options.ts";

interface SwitchOptions extends SourceWords {
  readonly sysroot: ByteString;
  readonly karg: readonly string[];
}

/** `osdeploy switch` */
export const define: DefineCommand = (command, frame) => {
  addSourceOptions(command)
    .description(
      "Makes an image what the sysroot boots next: pulls what is missing, writes the root image, copies kernel and initramfs to the " +
        "boot directory, prepares /etc and /var, and last adds a boot entry that comes first. On the running system it is staged: " +
        "at shutdown /etc is merged once more and the entry added. The deployments before stay and can be booted. Stopped in " +
        "the middle, it leaves what boots as it was, and running it again goes on.",
    )
    .argument("<image>", imageHelp)
    .addOption(sysrootOption())
    .addOption(repeatedOption("--karg <argument>", "a kernel argument for the first deployment"))
    .action((image: string, options: SwitchOptions) =>
      frame.write(
        async (system) => {
          const { switchImage } = await import("../../operations/switch.ts");
          const source = sourceRequest(image, options, frame);
          return switchImage(system, { ...source, sysroot: options.sysroot, kernelArguments: options.karg });
        },
        { text: switchText, json: switchValue },
      ),
    );
  addExamples(command, [
    ["osdeploy switch quay.io/os:latest", "this machine boots this image next"],
    [
      "osdeploy switch --sysroot /mnt --karg console=ttyS0 oci:images:v2",
      "a sysroot in a directory, from an OCI layout",
    ],
  ]);
};
