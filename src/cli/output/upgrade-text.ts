import { formatBytes } from "../../core/bytes/byte-count.ts";
import type { CheckUpgradeResult } from "../../operations/check-upgrade.ts";
import type { UpgradeResult } from "../../operations/upgrade.ts";
import { switchText, switchValue } from "./deployment-text.ts";
import { printable } from "./plain-text.ts";
import { type DetailOptions, planDetails, planFields } from "./plan-text.ts";
import { formatFields } from "./table.ts";
import { formatCount } from "./units.ts";

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
export function checkUpgradeText(result: CheckUpgradeResult, options: DetailOptions = {}): string {
  const image = printable(result.image);
  const words: Readonly<Record<CheckUpgradeResult["kind"], string>> = {
    "up-to-date": `Nothing new: ${image} boots next already`,
    staged: `Nothing new: ${image} is staged already`,
    downloaded: `Nothing new: ${image} is downloaded; to boot it next, run: osdeploy upgrade --from-downloaded`,
    quarantined: `Nothing new: ${image} names an image that is in quarantine here`,
    available: `There is an upgrade of ${image}`,
  };
  const layers = `${formatCount(result.missingLayers, "layer")} (${formatBytes(result.missingBytes)})`;
  const fields = formatFields([
    ["Version", result.version === null ? undefined : printable(result.version)],
    ["Digest", result.manifestDigest],
    ["New layers", result.kind === "available" ? layers : undefined],
    ...(result.plan === null ? [] : planFields(result.plan)),
    ["Quarantine", result.reason === null ? undefined : printable(result.reason)],
  ]);
  const details = result.plan === null ? "" : planDetails(result.plan, options);
  return `${words[result.kind]}\n${fields.replace(/^/gm, "  ").trimEnd()}\n${details}`;
}
