import { formatBytes } from "../../core/bytes/byte-count.ts";
import type { CopyImageResult } from "../../operations/copy-image.ts";
import { companionsText } from "./companions-text.ts";
import { printable } from "./plain-text.ts";
import { sentImageText } from "./sent-image-text.ts";
import { formatFields } from "./table.ts";

/** What was copied where: one image, or all that an index names. */
export function copiedImageText(result: CopyImageResult): string {
  if (result.kind === "image") return sentImageText(result);
  const platforms = result.images.map(({ platform }) => printable(platform ?? "any")).join(", ");
  return formatFields([
    ["Written to", printable(result.destination)],
    ["Digest", `${result.manifestDigest}, an index`],
    ["Images", `${result.images.length} (${platforms})`],
    ["Sent", formatBytes(result.sentBytes)],
    ["Beside it", companionsText(result.companions)],
  ]);
}
