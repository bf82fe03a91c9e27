import { textWidth } from "./text-width.ts";

/** A column of a table: its title, and whether its cells are numbers, which line up on the right. */
export interface Column {
  readonly title: string;
  readonly align?: "left" | "right";
}

/** Columns with two spaces between them, as wide as their widest cell; no line ends in spaces. */
export function formatTable(columns: readonly Column[], rows: readonly (readonly string[])[]): string {
  const titles = columns.map((column) => column.title);
  const widths = columns.map((_, at) => Math.max(...[titles, ...rows].map((row) => textWidth(row[at] ?? ""))));
  const line = (row: readonly string[]): string =>
    columns
      .map((column, at) => pad(row[at] ?? "", widths[at] ?? 0, column.align))
      .join("  ")
      .trimEnd();
  return [titles, ...rows].map((row) => `${line(row)}\n`).join("");
}

/** Lines of `label: value`, the values below each other; a value that is undefined has no line. */
export function formatFields(fields: readonly (readonly [label: string, value: string | undefined])[]): string {
  const shown = fields.filter(([, value]) => value !== undefined);
  const width = Math.max(...shown.map(([label]) => label.length)) + 2;
  return shown.map(([label, value]) => `${`${label}:`.padEnd(width)}${value}`.trimEnd().concat("\n")).join("");
}

function pad(cell: string, width: number, align: Column["align"]): string {
  const room = " ".repeat(width - textWidth(cell));
  return align === "right" ? room + cell : cell + room;
}
