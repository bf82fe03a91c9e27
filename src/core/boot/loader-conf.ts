import { lineFields } from "./line-fields.ts";

/**
 * The pattern by which a `loader.conf` of systemd-boot chooses what starts; undefined where it leaves that to the order of the
 * entries. The last line counts.
 *
 * @see https://www.freedesktop.org/software/systemd/man/latest/loader.conf.html
 */
export function defaultPattern(config: string): string | undefined {
  return lineFields(config).findLast(({ key }) => key === "default")?.value;
}

/**
 * Whether such a pattern chooses every entry with this start of its name, as systemd-boot compares them: without regard to
 * case, `*` for anything. False where somebody would have to know the entry: `@saved`, one entry's name, `?` and brackets.
 */
export function choosesAll(pattern: string, start: string): boolean {
  const glob = pattern.toLowerCase();
  return /^[^*?[]*\*+(?:\.conf)?$/.test(glob) && start.startsWith(glob.slice(0, glob.indexOf("*")));
}
