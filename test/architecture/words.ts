import type { SourceText, Violation } from "./source-text.ts";

/** Names that say nothing about what is inside. */
const emptyNames = ["utils", "helpers", "common", "misc", "types", "constants", "manager", "service"];

/** Words of which the glossary says "never say", as far as a file name can show it. */
const wrongWords = [
  ...["hash", "checksum", "rootfs", "cfs", "node", "tombstone", "cache", "db"],
  ...["slot", "upstream", "remote", "current", "active", "action", "job"],
];

const refused = new Map<string, string>([
  ...emptyNames.map((word): [string, string] => [word, "says nothing"]),
  ...wrongWords.map((word): [string, string] => [word, "is not in the glossary"]),
]);

/** File and folder names that use a refused word, alone or as a part between dashes, dots and underscores. */
export function badNames(paths: readonly string[]): readonly Violation[] {
  return paths.flatMap((path) => {
    // the ending of systemd's units is systemd's word
    const words = path.replace(/\.service$/, "").split(/[/._-]/);
    return words.filter((word) => refused.has(word)).map((word) => `${path}: "${word}" ${refused.get(word)}`);
  });
}

/** Marks of unfinished work. Put together here, so that this file does not hold them. */
const unfinished = new RegExp(`\\b(${["TO", "FIX"].map((half, i) => half + ["DO", "ME"][i]).join("|")})\\b`);

/** Paths that exist on one machine only. */
const machinePath = /(?<![\w.}\])~-])\/work\/|\/tmp\/[a-z0-9_.-]+\/[a-z]|\/(home|Users)\/[a-z]+\/|\/var\/tmp\//;

/** Lines that hold a mark of unfinished work or a path of somebody's machine. */
export function badLines(files: readonly SourceText[]): readonly Violation[] {
  return files.flatMap(({ path, text }) =>
    text.split("\n").flatMap((line, index) => {
      const found = unfinished.exec(line)?.[0] ?? machinePath.exec(line)?.[0];
      return found === undefined ? [] : [`${path}:${index + 1}: ${found}`];
    }),
  );
}

/** Package sources that a lock file or npm's settings name: they would bind everybody to one registry. */
export function boundRegistries(files: readonly SourceText[]): readonly Violation[] {
  return files.flatMap(({ path, text }) =>
    text.split("\n").flatMap((line, index) => {
      const bound = /"resolved"\s*:|^\s*(@[^:]+:)?registry\s*=|https?:\/\/registry\./.test(line);
      return bound ? [`${path}:${index + 1}: ${line.trim()}`] : [];
    }),
  );
}
