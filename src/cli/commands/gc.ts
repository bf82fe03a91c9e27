import { InvalidArgumentError } from "commander";
import type { ByteString } from "../../core/bytes/byte-string.ts";
import { addExamples } from "../examples.ts";
import type { DefineCommand } from "../frame.ts";
import { sysrootOption } from "../options.ts";
import { collectDeploymentsText, collectDeploymentsValue } from "../output/gc-text.ts";

interface GcOptions {
  readonly sysroot: ByteString;
  readonly keep: number;
  readonly dryRun?: true;
  readonly whenNeeded?: true;
}

/** `osdeploy gc` */
export const define: DefineCommand = (command, frame) => {
  command
    .description(
      "Removes deployments that are no longer needed, and then what only they needed: boot entries, state directories with their /etc, kernels on " +
        "the boot partition, and objects in the repo. The deployment that is running, the default, the staged one and the way back always " +
        "stay. Stopped at any point it leaves a machine that boots as before. Where no boot entry starts any deployment it refuses: " +
        "most likely the boot partition is not mounted.",
    )
    .addOption(sysrootOption())
    .option("--keep <number>", "how many deployments to keep besides those, the newest first", parseNumber, 0)
    .option("-n, --dry-run", "tell what would go, and remove nothing")
    .option(
      "--when-needed",
      "look through the repo only when a deployment goes, or a run was stopped; for use at each boot",
    )
    .action((options: GcOptions) =>
      frame.write(
        async (system) => {
          const { collectDeployments } = await import("../../operations/collect-deployments.ts");
          const { sysroot, keep, dryRun = false, whenNeeded = false } = options;
          return collectDeployments(system, { sysroot, keep, dryRun, whenNeeded });
        },
        { text: collectDeploymentsText, json: collectDeploymentsValue },
      ),
    );
  addExamples(command, [
    ["osdeploy gc --dry-run", "what would go"],
    ["osdeploy gc --keep 1", "remove it, and keep one deployment more than is needed"],
  ]);
};

function parseNumber(text: string): number {
  if (/^\d{1,6}$/.test(text)) return Number(text);
  throw new InvalidArgumentError("it is not a number from 0 on.");
}
