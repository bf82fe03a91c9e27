import type { CheckUpgradeResult } from "../../operations/check-upgrade.ts";
import type { UpgradeResult } from "../../operations/upgrade.ts";
import { switchText, switchValue } from "./deployment-text.ts";
import { printable } from "./plain-text.ts";
import { downloadWords, newFilesWords } from "./plan-text.ts";
import { formatFields } from "./table.ts";
import { formatBytes, formatCount } from "./units.ts";

/** What `upgrade` did. */
export function upgradeText(result: UpgradeResult): string {
  if (result.kind !== "quarantined") return switchText(result);
  const { manifestDigest, reason } = result;
  return (
    `Nothing to do: ${printable(result.image)} names an image that is in quarantine here\n` +
    `  Digest:  ${manifestDigest}\n  Reason:  ${printable(reason)}\n` +
    "It is left alone until the tag moves. To take it all the same: osdeploy upgrade --ignore-quarantine\n"
  );
}

/** The same for `--json`. */
export function upgradeValue(result: UpgradeResult): unknown {
  return result.kind === "quarantined" ? result : switchValue(result);
}

/** What `upgrade --check` found. */
export function checkUpgradeText(result: CheckUpgradeResult): string {
  const image = printable(result.image);
  const words: Readonly<Record<CheckUpgradeResult["kind"], string>> = {
    "up-to-date": `Nothing new: ${image} boots next already`,
    staged: `Nothing new: ${image} is staged already`,
    quarantined: `Nothing new: ${image} names an image that is in quarantine here`,
    available: `There is an upgrade of ${image}`,
  };
  const layers = `${formatCount(result.missingLayers, "layer")} (${formatBytes(result.missingBytes)})`;
  const fields = formatFields([
    ["Version", result.version === null ? undefined : printable(result.version)],
    ["Digest", result.manifestDigest],
    ["To fetch", result.kind === "available" ? layers : undefined],
    ["Download", result.transfer === null ? undefined : downloadWords(result.transfer)],
    ["New files", result.transfer === null ? undefined : newFilesWords(result.transfer)],
    ["Quarantine", result.reason === null ? undefined : printable(result.reason)],
  ]);
  return `${words[result.kind]}\n${fields.replace(/^/gm, "  ").trimEnd()}\n`;
}
