import { formatBytes } from "../../core/bytes/byte-count.ts";
import type { BundleResult } from "../../operations/bundle.ts";
import { companionsText } from "./companions-text.ts";
import { printable } from "./plain-text.ts";
import { formatFields } from "./table.ts";

/** What is in the bundle, and where it is. */
export function bundleText(result: BundleResult): string {
  const count = (wanted: string) => result.layers.filter(({ kind }) => kind === wanted).length;
  return formatFields([
    ["Written to", printable(result.bundle)],
    ["Digest", result.manifestDigest],
    ["Layers", `${count("whole")} whole, ${count("parts")} in parts, ${count("absent")} left out`],
    ["Size", `${formatBytes(result.archiveBytes)}; the whole image has ${formatBytes(result.imageBytes)}`],
    ["Beside it", companionsText(result.companions)],
  ]);
}
