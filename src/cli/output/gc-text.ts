import type { CollectDeploymentsResult } from "../../operations/collect-deployments.ts";
import { printable } from "./plain-text.ts";
import { collectGarbageText, collectGarbageValue } from "./repo-text.ts";
import { formatCount, shortDigest } from "./units.ts";

/** What `gc` removed or would remove. */
export function collectDeploymentsText(result: CollectDeploymentsResult): string {
  const { dryRun, bootEntries, deployments, kernels, keptDeployments } = result;
  const gone = deployments.map(
    ({ rootImage, image }) =>
      `  deployment ${shortDigest(rootImage)}${image === null ? "" : ` of ${printable(image)}`}\n`,
  );
  const entries = bootEntries.map((name) => `  boot entry ${printable(name)}\n`);
  const stored = kernels.map((bootDigest) => `  kernel ${shortDigest(bootDigest)}\n`);
  const lines = [...gone, ...entries, ...stored].join("");
  const verb = dryRun ? "Would remove" : "Removed";
  const first =
    lines === ""
      ? `No deployment is unneeded; ${kept(keptDeployments)}\n`
      : `${verb}:\n${lines}${kept(keptDeployments)}\n`;
  return `${first}${collectGarbageText({ ...result.repo, dryRun }, {})}`;
}

function kept(deployments: CollectDeploymentsResult["keptDeployments"]): string {
  return `${formatCount(deployments.length, "deployment")} kept`;
}

/** The same for `--json`: paths as text. */
export function collectDeploymentsValue(result: CollectDeploymentsResult): unknown {
  return { ...result, repo: collectGarbageValue({ ...result.repo, dryRun: result.dryRun }) };
}
