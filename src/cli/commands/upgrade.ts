import { Option } from "commander";
import type { ByteString } from "../../core/bytes/byte-string.ts";
import { addExamples } from "../examples.ts";
import { successStatus, unchangedStatus } from "../exit-status.ts";
import type { DefineCommand } from "../frame.ts";
import { gcCommand, sysrootOption } from "../options.ts";
import { checkUpgradeText, upgradeText, upgradeValue } from "../output/upgrade-text.ts";
import { addSourceOptions, type SourceWords, sourceSettings } from "../source-options.ts";

interface UpgradeOptions extends SourceWords {
  readonly sysroot: ByteString;
  readonly check?: true;
  readonly apply?: true;
  readonly downloadOnly?: true;
  readonly fromDownloaded?: true;
  readonly ignoreQuarantine?: true;
}

/** Options about what is staged, which nothing is with `--check`. */
const writing = ["apply", "downloadOnly", "fromDownloaded"];

/** `osdeploy upgrade` */
export const define: DefineCommand = (command, frame) => {
  addSourceOptions(command)
    .description(
      "Brings the image that the followed reference names now, and makes it what boots next. On the running system it is staged: all is " +
        "prepared now, and at shutdown /etc is merged once more and the boot entry added. An image that failed to boot here, or was " +
        "rolled back from, is in quarantine and left alone until the tag moves to another one. With --check nothing is written: it tells what " +
        "an upgrade would fetch and write, what the boot partition has to hold, which files and packages change and what would be " +
        `pruned afterwards, and the exit status is ${successStatus} when an upgrade would bring something, and ${unchangedStatus} when not.`,
    )
    .addOption(sysrootOption())
    .addOption(new Option("--check", "only tell what is new, what it costs and what it changes").conflicts(writing))
    .option("--download-only", "stage it, and leave it out at shutdown until upgrade runs again; a reboot drops it")
    .addOption(new Option("--from-downloaded", "take what is downloaded; ask no registry").conflicts("downloadOnly"))
    .addOption(new Option("--apply", "reboot when something is staged").conflicts("downloadOnly"))
    .option("--ignore-quarantine", "take an image that failed here before, too")
    .action((options: UpgradeOptions) => {
      const { sysroot, ignoreQuarantine = false, apply = false, fromDownloaded = false } = options;
      const request = { ...sourceSettings(options, frame), sysroot, ignoreQuarantine };
      const how = { ...request, apply, fromDownloaded, finalizationLocked: options.downloadOnly === true };
      const told = { text: upgradeText, json: upgradeValue, whenFull: gcCommand(sysroot) };
      return options.check
        ? frame.read(
            async (system) => (await import("../../operations/check-upgrade.ts")).checkUpgrade(system, request),
            {
              text: (result) => checkUpgradeText(result, frame.options),
              status: ({ kind }) => (kind === "available" ? successStatus : unchangedStatus),
            },
          )
        : frame.write(async (system) => (await import("../../operations/upgrade.ts")).upgrade(system, how), told);
    });
  addExamples(command, [
    ["osdeploy upgrade --check", "what is new, and what it costs"],
    ["osdeploy upgrade", "get it now, and boot it at the next reboot"],
    ["osdeploy upgrade --apply", "the same, and reboot at once"],
    ["osdeploy upgrade --from-downloaded --apply", "boot what osdeploy upgrade --download-only got"],
  ]);
};
