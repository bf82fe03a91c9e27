import type { Command } from "commander";
import { type ByteString, fromText } from "../core/bytes/byte-string.ts";

/**
 * The image and the hosts that `bundle` is given. `--hosts` takes all words up to the next option: where none is left for the
 * image, the last of them is it.
 *
 * @throws OsdeployError `usage` when there is no image.
 */
export function readBundleWords(
  word: string | undefined,
  hosts: readonly string[],
  command: Command,
): { readonly image: string; readonly hosts: readonly ByteString[] } {
  if (word !== undefined) return { image: word, hosts: hosts.map(fromText) };
  const image = hosts.at(-1);
  if (image !== undefined && hosts.length > 1) return { image, hosts: hosts.slice(0, -1).map(fromText) };
  return command.error("error: missing required argument 'image'", { code: "commander.missingArgument" });
}
