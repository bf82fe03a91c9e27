import { formatBytes } from "../../core/bytes/byte-count.ts";
import type { SentImage } from "../../operations/send-image.ts";
import { companionsText } from "./companions-text.ts";
import { printable } from "./plain-text.ts";
import { formatFields } from "./table.ts";

/** What was written where. */
export function sentImageText(result: SentImage): string {
  const known = result.layers.filter((layer) => layer.known).length;
  const formats = [...new Set(result.layers.map(({ format }) => format))].join(", ");
  return formatFields([
    ["Written to", printable(result.destination)],
    ["Digest", result.manifestDigest],
    ["Layers", `${result.layers.length} (${formats}), ${known} already there`],
    ["Sent", formatBytes(result.sentBytes)],
    ["Beside it", companionsText(result.companions)],
  ]);
}
