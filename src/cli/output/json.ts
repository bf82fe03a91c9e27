/**
 * `value` as JSON, indented by two spaces, with a newline at the end.
 *
 * A bigint becomes a number with all its digits: JSON knows no limit, and most readers take it whole. Undefined fields are
 * left out, a Map becomes an object, a Set an array.
 */
export function toJson(value: unknown): string {
  return `${write(value, "\n")}\n`;
}

/** `value` as JSON on one line, with a newline at the end. */
export function toJsonLine(value: unknown): string {
  return `${write(value, "")}\n`;
}

/** `lineBreak` is a newline and the present indentation, or empty for one line. */
function write(value: unknown, lineBreak: string): string {
  if (typeof value === "bigint") return value.toString();
  if (value instanceof Map)
    return writeObject(
      [...value.entries()].map(([key, field]) => [String(key), field]),
      lineBreak,
    );
  if (value instanceof Set) return writeArray([...value], lineBreak);
  if (Array.isArray(value)) return writeArray(value, lineBreak);
  if (typeof value === "object" && value !== null) return writeObject(Object.entries(value), lineBreak);
  return JSON.stringify(value) ?? "null";
}

function writeArray(items: readonly unknown[], lineBreak: string): string {
  const inner = deeper(lineBreak);
  return enclose(
    "[",
    items.map((item) => write(item, inner)),
    "]",
    lineBreak,
  );
}

function writeObject(fields: readonly (readonly [string, unknown])[], lineBreak: string): string {
  const inner = deeper(lineBreak);
  const colon = lineBreak === "" ? ":" : ": ";
  const parts = fields
    .filter(([, field]) => field !== undefined)
    .map(([key, field]) => `${JSON.stringify(key)}${colon}${write(field, inner)}`);
  return enclose("{", parts, "}", lineBreak);
}

function deeper(lineBreak: string): string {
  return lineBreak === "" ? "" : `${lineBreak}  `;
}

function enclose(open: string, parts: readonly string[], close: string, lineBreak: string): string {
  if (parts.length === 0) return open + close;
  return open + deeper(lineBreak) + parts.join(`,${deeper(lineBreak)}`) + lineBreak + close;
}
