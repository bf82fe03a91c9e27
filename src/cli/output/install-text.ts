import { formatBytes } from "../../core/bytes/byte-count.ts";
import type { InstallToDiskResult } from "../../operations/install-to-disk.ts";
import type { InstallToRootResult } from "../../operations/install-to-root.ts";
import { printable } from "./plain-text.ts";
import { formatFields } from "./table.ts";

/** What `install to-disk` made. */
export function installToDiskText(result: InstallToDiskResult): string {
  const fields = formatFields([
    ["Follows", printable(result.image)],
    ["Digest", result.pulled.manifestDigest],
    ["Root image", result.rootImage],
    ["Kernel", printable(result.kernel)],
    ["Boot entry", printable(result.bootEntry)],
    ["Size", formatBytes(result.diskBytes)],
    ["Root UUID", result.rootUuid],
  ]);
  return `${printable(result.target)} is ready to start\n${fields.replace(/^/gm, "  ").trimEnd()}\n`;
}

/** What `install to-filesystem` and `install to-existing-root` made. */
export function installToRootText(result: InstallToRootResult): string {
  const fields = formatFields([
    ["Follows", printable(result.image)],
    ["Digest", result.pulled.manifestDigest],
    ["Root image", result.rootImage],
    ["Kernel", printable(result.kernel)],
    ["Boot loader", result.bootloader],
    ["Boot entry", printable(result.bootEntry)],
  ]);
  return `The system in ${printable(result.root)} boots next\n${fields.replace(/^/gm, "  ").trimEnd()}\n`;
}
