import { type ByteString, untilNul } from "../bytes/byte-string.ts";
import { OsdeployError } from "../errors.ts";
import { unescapeField } from "./dump-escape.ts";
import type { Xattrs } from "./inode.ts";
import { XattrBudget } from "./xattr-budget.ts";

/** Longest xattr text of one line, in bytes, escapes counted. */
const maxTextLength = 65535;

const noXattrs: Xattrs = new Map();

/** What stands after a line's eleventh field, as xattrs. Lines with the same text get the same map: most have. */
export class XattrTexts {
  readonly #seen = new Map<string, Xattrs>([["", noXattrs]]);
  /** Mostly the next line has the same text. To compare costs less than to cut it out and look it up. */
  #lastText = "";
  #lastXattrs = noXattrs;

  /**
   * The text is `chunk[start…end]`; empty where that is nothing.
   *
   * @throws OsdeployError `bad-format`, mkcomposefs's text.
   */
  parse(chunk: string, start: number, end: number): Xattrs {
    const isLast = this.#lastText.length === end - start && chunk.startsWith(this.#lastText, start);
    if (!isLast) {
      this.#lastText = chunk.slice(start, end);
      this.#lastXattrs = this.#parseText(this.#lastText);
    }
    return this.#lastXattrs;
  }

  #parseText(text: string): Xattrs {
    const known = this.#seen.get(text);
    if (known !== undefined) return known;
    const xattrs = parseXattrs(text);
    this.#seen.set(text, xattrs);
    return xattrs;
  }
}

function parseXattrs(text: string): Xattrs {
  if (text.length > maxTextLength) throw new OsdeployError("bad-format", "Too many xattrs");
  const budget = new XattrBudget();
  for (let at = 0; at < text.length; ) {
    const space = text.indexOf(" ", at);
    const end = space < 0 ? text.length : space;
    parseXattr(text.slice(at, end), budget);
    at = end + 1;
  }
  return budget.xattrs;
}

function parseXattr(field: string, budget: XattrBudget): void {
  const equals = field.indexOf("=");
  if (equals < 0) throw new OsdeployError("bad-format", "Missing = in xattr");
  const key = untilNul(unescapeField(field.slice(0, equals)));
  const value: ByteString = unescapeField(field.slice(equals + 1));
  if (!budget.set(key, value)) throw new OsdeployError("bad-format", "Can't set xattr");
}
