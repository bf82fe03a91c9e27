import { decodeText } from "../bytes/utf8.ts";
import { type InstalledPackage, installedPackage } from "./package-list.ts";

/**
 * The packages in apk's database, the file `installed`: stanzas of lines that begin with a letter and a colon.
 *
 * @see https://wiki.alpinelinux.org/wiki/Apk_spec
 */
export function parseApkInstalled(bytes: Uint8Array): readonly InstalledPackage[] {
  const found: InstalledPackage[] = [];
  let fields = new Map<string, string>();
  const close = () => {
    const [name, version] = [fields.get("P"), fields.get("V")];
    if (name !== undefined && version !== undefined) {
      found.push(installedPackage(name, version, fields.get("A") ?? ""));
    }
    fields = new Map();
  };
  for (const line of decodeText(bytes).split("\n")) {
    if (line === "") close();
    else if (line[1] === ":") fields.set(line.slice(0, 1), line.slice(2));
  }
  close();
  return found;
}
