import { decodeText } from "../bytes/utf8.ts";
import { type InstalledPackage, installedPackage } from "./package-list.ts";

/** States in which nothing of a package but its configuration is there, or not even that. */
const absentStates: ReadonlySet<string> = new Set(["not-installed", "config-files"]);

/**
 * The packages in dpkg's database: its file `status`, or one of those in `status.d`, which have no states.
 *
 * What is no stanza of a package is passed over, as dpkg's own tools do with fields that they do not know.
 *
 * @see deb-control(5), dpkg-query(1)
 */
export function parseDpkgStatus(bytes: Uint8Array): readonly InstalledPackage[] {
  const text = decodeText(bytes);
  return text.split(/\n(?:[ \t]*\n)+/).flatMap((stanza) => {
    const name = field(stanza, "Package");
    const version = field(stanza, "Version");
    const state = field(stanza, "Status")?.split(" ").at(-1);
    if (name === undefined || version === undefined || (state !== undefined && absentStates.has(state))) return [];
    return [installedPackage(name, version, field(stanza, "Architecture") ?? "")];
  });
}

function field(stanza: string, name: string): string | undefined {
  const start = stanza.startsWith(`${name}:`) ? 0 : stanza.indexOf(`\n${name}:`) + 1;
  if (start === 0 && !stanza.startsWith(`${name}:`)) return undefined;
  const end = stanza.indexOf("\n", start);
  return stanza.slice(start + name.length + 1, end < 0 ? undefined : end).trim();
}
