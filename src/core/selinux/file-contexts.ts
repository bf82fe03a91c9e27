import { type ByteString, fromText } from "../bytes/byte-string.ts";
import { exactText } from "../bytes/utf8.ts";
import { OsdeployError } from "../errors.ts";

/** One line of a file_contexts file. */
export interface FileContext {
  /** To be matched against a whole path. */
  readonly regex: ByteString;
  /** The type letter as `selabel_file(5)` has it, `-` for regular files; undefined when the line is for all types. */
  readonly type: ByteString | undefined;
  /** The label; `<<none>>` says that there is to be none. */
  readonly label: ByteString;
}

/** Bytes in one regex; the longest known has some 200. */
const maxRegexBytes = 4096;

/** Lines that say something in one file; Fedora's has 6 000. */
const maxLines = 100_000;

/**
 * The lines of a file_contexts file, in their order, which decides: the last match counts.
 *
 * @throws OsdeployError `bad-format` when a line is not `REGEX [-TYPE] LABEL`; `limit-exceeded` for an overlong regex.
 * @see https://man7.org/linux/man-pages/man5/file_contexts.5.html
 */
export function parseFileContexts(bytes: Uint8Array): readonly FileContext[] {
  return readLines(bytes).map(({ line, fields: [regex = "", ...rest] }) => {
    const type = rest[0]?.startsWith("-") ? rest.shift()?.slice(1) : undefined;
    if (type !== undefined && !/^[bcdpls-]$/.test(type)) throw badLine(line, `type -${type} is unknown`);
    const [label] = rest;
    if (label === undefined) throw badLine(line, "it has no label");
    if (rest.length > 1) throw badLine(line, "it has too many fields");
    if (regex.length > maxRegexBytes) {
      throw new OsdeployError("limit-exceeded", `Cannot read SELinux policy: line ${line} has an overlong regex`);
    }
    return { regex: fromText(regex), type: type === undefined ? undefined : fromText(type), label: fromText(label) };
  });
}

/**
 * Adds the lines of a file_contexts.subs file to `aliases`: path to the path whose labels it gets. Later lines win.
 *
 * @throws OsdeployError `bad-format` when a line does not hold two paths.
 */
export function parseSubs(bytes: Uint8Array, aliases: Map<ByteString, ByteString>): void {
  for (const { line, fields } of readLines(bytes)) {
    const [alias, original, ...rest] = fields;
    if (alias === undefined || original === undefined || rest.length > 0) throw badLine(line, "it is not two paths");
    aliases.set(fromText(alias), fromText(original));
  }
}

/**
 * The value of SELINUXTYPE in /etc/selinux/config, the first one; undefined when there is none. Comments behind it and
 * quotes are part of it.
 *
 * @throws OsdeployError `bad-format` when a line before it is not UTF-8.
 */
export function parsePolicyType(bytes: Uint8Array): ByteString | undefined {
  for (let start = 0; start < bytes.length; ) {
    const feed = bytes.indexOf(lineFeed, start);
    const end = feed < 0 ? bytes.length : feed;
    const text = decode(bytes.subarray(start, end));
    const equals = text.indexOf("=");
    // Letters that become ASCII in upper case are not taken for it.
    if (equals >= 0 && /^SELINUXTYPE$/i.test(trim(text.slice(0, equals))))
      return fromText(trim(text.slice(equals + 1)));
    start = end + 1;
  }
  return undefined;
}

/** Unicode's white space, by which composefs-rs splits. JavaScript's `\s` differs in two characters. */
const space = "[\\t-\\r \\u0085\\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]";
const spaces = new RegExp(`${space}+`);
const oneSpace = new RegExp(space);

const lineFeed = 0x0a;

/** Lines that say something, as fields; numbered from 1. Comments count only at the start of a line. */
function readLines(bytes: Uint8Array): readonly { readonly line: number; readonly fields: string[] }[] {
  const lines = decode(bytes)
    .split("\n")
    .map((text, i) => ({ line: i + 1, fields: text.split(spaces).filter((field) => field !== "") }))
    .filter(({ fields: [first] }) => first !== undefined && !first.startsWith("#"));
  if (lines.length > maxLines) {
    throw new OsdeployError("limit-exceeded", `Cannot read SELinux policy: a file has ${lines.length} lines`);
  }
  return lines;
}

/** A byte order mark is a character like others to composefs-rs. */
function decode(bytes: Uint8Array): string {
  const text = exactText(bytes);
  if (text === undefined) throw new OsdeployError("bad-format", "Cannot read SELinux policy: it is not UTF-8");
  return text;
}

/** By hand, since a regex for the end of a text looks at every run of white space in it. */
function trim(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && oneSpace.test(text.charAt(start))) start += 1;
  while (start < end && oneSpace.test(text.charAt(end - 1))) end -= 1;
  return text.slice(start, end);
}

function badLine(line: number, state: string): OsdeployError {
  return new OsdeployError("bad-format", `Cannot read SELinux policy: in line ${line}, ${state}`);
}
