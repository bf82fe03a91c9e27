/** One way in which a server wants to be told who asks. */
export interface Challenge {
  /** Lower case: `bearer`, `basic`. */
  readonly scheme: string;
  /** By lower-case key. */
  readonly parameters: ReadonlyMap<string, string>;
}

/** Longer headers than this are cut; what is behind is not worth reading. */
const headerLimit = 16 * 1024;

const token = "[!#$%&'*+.^_`|~0-9A-Za-z-]+";
/** A scheme, or `key=value` with a quoted or plain value; and the comma or space before it. */
const part = new RegExp(
  `[\\s,]*(?:(${token})\\s*=\\s*(?:"((?:[^"\\\\]|\\\\.)*)"|([^\\s,"]+))|(${token})(?=\\s|$|,))`,
  "y",
);

/**
 * Reads the value of `WWW-Authenticate`, which may hold several challenges; stops at what it does not understand.
 *
 * @see https://www.rfc-editor.org/rfc/rfc9110#section-11.6.1
 */
export function parseChallenges(header: string): readonly Challenge[] {
  const text = header.slice(0, headerLimit);
  const challenges: { scheme: string; parameters: Map<string, string> }[] = [];
  part.lastIndex = 0;
  for (let match = part.exec(text); match !== null; match = part.exec(text)) {
    const [, key, quoted, plain, scheme] = match;
    if (scheme !== undefined) challenges.push({ scheme: scheme.toLowerCase(), parameters: new Map() });
    const value = quoted === undefined ? plain : quoted.replace(/\\(.)/g, "$1");
    if (key !== undefined && value !== undefined) challenges.at(-1)?.parameters.set(key.toLowerCase(), value);
  }
  return challenges;
}
