import type { PlanImageResult } from "../../operations/plan-image.ts";
import { printable } from "./plain-text.ts";
import { formatFields, formatTable } from "./table.ts";
import { formatBytes, formatCount, shortDigest } from "./units.ts";

const kinds = { known: "here already", whole: "comes whole", chunked: "comes in parts" } as const;

/** What a pull would cost. */
export function planText(plan: PlanImageResult): string {
  const columns = [
    { title: "LAYER" },
    { title: "SIZE", align: "right" },
    { title: "DOWNLOAD", align: "right" },
    { title: "HOW" },
  ] as const;
  const rows = plan.layers.map(({ digest, kind, sizeBytes, downloadBytes }) => [
    shortDigest(digest),
    formatBytes(sizeBytes),
    formatBytes(downloadBytes),
    kind === "chunked" && downloadBytes === sizeBytes ? kinds.whole : kinds[kind],
  ]);
  const fields = formatFields([
    ["Image", printable(plan.image)],
    ["Version", plan.version === null ? undefined : printable(plan.version)],
    ["Digest", plan.manifestDigest],
    ["Download", downloadWords(plan)],
    ["New files", newFilesWords(plan)],
  ]);
  return `${fields}\n${formatTable(columns, rows)}`;
}

/** How much would be fetched, and whether that is all that is known. */
export function downloadWords({
  downloadBytes,
  isDownloadBound,
}: Pick<PlanImageResult, "downloadBytes" | "isDownloadBound">): string {
  return `${isDownloadBound ? "at most " : ""}${formatBytes(downloadBytes)}`;
}

/** What would be written, as far as it is known. */
export function newFilesWords(plan: Pick<PlanImageResult, "newObjects" | "newBytes" | "uncountedLayers">): string {
  const uncounted = `${formatCount(plan.uncountedLayers, "layer")} without a table of contents`;
  if (plan.uncountedLayers > 0 && plan.newObjects === 0) return `unknown before they are here: ${uncounted}`;
  const written = `at most ${formatCount(plan.newObjects, "object")} (${formatBytes(plan.newBytes)})`;
  return plan.uncountedLayers === 0 ? written : `${written}, and what is in ${uncounted}`;
}
