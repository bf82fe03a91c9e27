import type { Violation } from "./source-text.ts";

/** What is in one list and not in the other, told with the names of both. */
export function differences(
  one: { readonly name: string; readonly items: Iterable<string> },
  other: { readonly name: string; readonly items: Iterable<string> },
): readonly Violation[] {
  const [ones, others] = [new Set(one.items), new Set(other.items)];
  return [
    ...[...ones].filter((item) => !others.has(item)).map((item) => `${item}: in ${one.name}, not in ${other.name}`),
    ...[...others].filter((item) => !ones.has(item)).map((item) => `${item}: in ${other.name}, not in ${one.name}`),
  ];
}

/** The rows of all tables in a Markdown text, cell by cell; titles and rules are left out. */
export function tableRows(markdown: string): readonly (readonly string[])[] {
  const lines = markdown.split("\n").map((line) => line.trim());
  const isRule = (line: string | undefined): boolean => /^\|[\s:|-]+\|$/.test(line ?? "");
  return lines
    .filter((line, at) => line.startsWith("|") && !isRule(line) && !isRule(lines[at + 1]))
    .map((line) =>
      line
        .slice(1, -1)
        .split("|")
        .map((cell) => cell.trim()),
    );
}

/** A link that leads into the project: a path as it is written, empty for the page itself, and perhaps a heading there. */
export interface LocalLink {
  readonly path: string;
  readonly anchor: string | undefined;
}

/** The links in a Markdown text that lead into the project. */
export function localLinks(markdown: string): readonly LocalLink[] {
  return [...markdown.matchAll(/\]\(([^)\s#]*)(?:#([^)]*))?\)/g)]
    .map(([, path = "", anchor]) => ({ path, anchor }))
    .filter(({ path }) => !/^[a-z]+:/.test(path));
}

/** The anchors of the headings in a Markdown text, as GitHub makes them: of equal ones the later have numbers. */
export function anchorsOf(markdown: string): readonly string[] {
  const counts = new Map<string, number>();
  return [...markdown.replace(/^```.*?^```/gms, "").matchAll(/^#{1,6} +(.*?) *$/gm)].map(([, heading = ""]) => {
    const anchor = heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N}_ -]/gu, "")
      .replaceAll(" ", "-");
    const count = counts.get(anchor) ?? 0;
    counts.set(anchor, count + 1);
    return count === 0 ? anchor : `${anchor}-${count}`;
  });
}

/** Decision records whose names do not run 0001, 0002, … without a gap. */
export function misnumbered(files: readonly string[]): readonly Violation[] {
  return [...files].sort().flatMap((file, at) => {
    const number = String(at + 1).padStart(4, "0");
    return /^\d{4}-[a-z0-9-]+\.md$/.test(file) && file.startsWith(number)
      ? []
      : [`${file}: number ${number} is expected`];
  });
}
