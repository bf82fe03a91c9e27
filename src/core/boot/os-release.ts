/** What an image says of itself in `/usr/lib/os-release`. */
export interface OsRelease {
  /** `ID`, for example `debian`; `linux` where it is missing, as the specification says. */
  readonly id: string;
  /** `PRETTY_NAME`, for people; `Linux` where it is missing. */
  readonly prettyName: string;
  /** `IMAGE_VERSION`, else `VERSION_ID`, else `VERSION`; empty where an image names none. */
  readonly version: string;
}

/**
 * Reads os-release text. Lines that are no assignment are passed over, as every reader of this file does.
 *
 * @see https://www.freedesktop.org/software/systemd/man/latest/os-release.html
 */
export function parseOsRelease(text: string): OsRelease {
  const values = new Map<string, string>();
  for (const line of text.split("\n")) {
    const equals = line.indexOf("=");
    const key = line.slice(0, Math.max(equals, 0)).trimStart();
    if (/^[A-Z0-9_]+$/.test(key)) values.set(key, oneLine(unquote(line.slice(equals + 1).trimEnd())));
  }
  return {
    id: values.get("ID") || "linux",
    prettyName: values.get("PRETTY_NAME") || "Linux",
    version: values.get("IMAGE_VERSION") || values.get("VERSION_ID") || values.get("VERSION") || "",
  };
}

/** Takes a shell-style value out of its quotes; only the escapes that os-release(5) allows are known. */
function unquote(value: string): string {
  const quote = value[0];
  if (quote !== '"' && quote !== "'") return value;
  const inner = value.endsWith(quote) && value.length > 1 ? value.slice(1, -1) : value.slice(1);
  return quote === "'" ? inner : inner.replace(/\\(["$`\\])/g, "$1");
}

/** The image chooses these values, and they end up in boot entries and terminals: control characters become spaces. */
function oneLine(value: string): string {
  return value.replace(/\p{Cc}+/gu, " ").trim();
}
