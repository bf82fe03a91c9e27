import type { ByteString } from "../../core/bytes/byte-string.ts";
import { parseImageReference } from "../../core/oci/reference.ts";
import { addExamples } from "../examples.ts";
import type { DefineCommand } from "../frame.ts";
import { gcCommand, kernelArgumentOption, sysrootOption } from "../options.ts";
import { switchText, switchValue } from "../output/deployment-text.ts";
import { planSwitchText } from "../output/plan-text.ts";
import { addSourceOptions, imageHelp, type SourceWords, sourceRequest } from "../source-options.ts";

interface SwitchOptions extends SourceWords {
  readonly sysroot: ByteString;
  readonly karg: readonly string[];
  readonly targetImgref?: string;
  readonly dryRun?: true;
}

/** `osdeploy switch` */
export const define: DefineCommand = (command, frame) => {
  addSourceOptions(command)
    .description(
      "Makes an image what the sysroot boots next: pulls what is missing, writes the root image, copies kernel and initramfs to the " +
        "boot directory, prepares /etc and /var, and last adds a boot entry that comes first. On the running system it is staged: " +
        "at shutdown /etc is merged once more and the entry added. The deployments before stay and can be booted. Stopped in " +
        "the middle, it leaves what boots as it was, and running it again goes on. With --dry-run nothing is written: it tells what would " +
        "be fetched and written, what the boot partition would have to hold, which files and packages change, and what would be " +
        "pruned after a good boot.",
    )
    .argument("<image>", imageHelp)
    .addOption(sysrootOption())
    .addOption(
      kernelArgumentOption("a kernel argument for the first deployment; later ones have those of the one before"),
    )
    .option("--target-imgref <image>", "what the system follows from then on (default: the image itself)")
    .option("-n, --dry-run", "only tell what it would cost and what would change")
    .action((image: string, options: SwitchOptions) => {
      const { sysroot, targetImgref } = options;
      const target = targetImgref !== undefined && { targetReference: parseImageReference(targetImgref) };
      const request = { ...sourceRequest(image, options, frame), sysroot, kernelArguments: options.karg, ...target };
      return options.dryRun
        ? frame.read(
            async (system) => (await import("../../operations/plan-switch-image.ts")).planSwitchImage(system, request),
            { text: (result) => planSwitchText(result, frame.options) },
          )
        : frame.write(
            async (system) => {
              const { switchImage } = await import("../../operations/switch.ts");
              return switchImage(system, request);
            },
            { text: switchText, json: switchValue, whenFull: gcCommand(sysroot) },
          );
    });
  addExamples(command, [
    ["osdeploy switch --dry-run quay.io/os:latest", "what it would cost"],
    ["osdeploy switch quay.io/os:latest", "this machine boots this image next"],
    [
      "osdeploy switch --sysroot /mnt --karg console=ttyS0 oci:images:v2",
      "a sysroot in a directory, from an OCI layout",
    ],
  ]);
};
