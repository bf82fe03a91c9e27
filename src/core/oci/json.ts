import { exactText } from "../bytes/utf8.ts";
import { assert, OsdeployError } from "../errors.ts";
import type { JsonPlace } from "./json-place.ts";

/** Manifests, indexes and configs larger than this are refused, as containers/image does. In bytes. */
export const documentLimitBytes = 4 * 1024 * 1024;

/** Image documents nest five deep; annotations and history do not go further. */
const depthLimit = 64;

/**
 * Reads a JSON document whose meaning no two readers can dispute: UTF-8 without byte order mark, no key twice in one
 * object. `JSON.parse` sees neither, and takes the last of two keys where others take the first.
 *
 * `document` names it in errors, as in `manifest sha256:…`. O(bytes).
 *
 * @throws OsdeployError `bad-format`, or `limit-exceeded` for more than 4 MiB or more than 64 levels.
 */
export function parseDocument(bytes: Uint8Array, document: string): JsonPlace {
  if (bytes.length > documentLimitBytes) {
    throw new OsdeployError("limit-exceeded", `Cannot read ${document}: it is larger than ${documentLimitBytes} bytes`);
  }
  const text = decode(bytes, document);
  const value = parse(text, document);
  checkKeys(text, document);
  return { document, path: "", value };
}

/** A byte order mark is kept, a character that no JSON starts with. */
function decode(bytes: Uint8Array, document: string): string {
  const text = exactText(bytes);
  if (text === undefined) throw new OsdeployError("bad-format", `Cannot read ${document}: it is not UTF-8`);
  return text;
}

function parse(text: string, document: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // V8's own message quotes the text, which may be a secret.
    throw new OsdeployError("bad-format", `Cannot read ${document}: it is not JSON`);
  }
}

/**
 * Looks for keys that stand twice in one object. `text` is known to be valid JSON, so quotes and brackets are all there
 * is to watch. No regular expression: their engines run out of stack on a text of some megabytes.
 */
function checkKeys(text: string, document: string): void {
  const open: Set<string>[] = [];
  for (let at = 0; at < text.length; at++) {
    const char = text[at];
    if (char === "{" || char === "[") open.push(new Set());
    else if (char === "}" || char === "]") open.pop();
    else if (char === '"') {
      const end = textEnd(text, at);
      if (isKey(text, end)) addKey(open[open.length - 1], text.slice(at, end), document);
      at = end - 1;
    }
    if (open.length > depthLimit) {
      throw new OsdeployError("limit-exceeded", `Cannot read ${document}: it nests more than ${depthLimit} deep`);
    }
  }
}

/** Where the text that starts with the quote at `start` has ended: the offset after its closing quote. */
function textEnd(text: string, start: number): number {
  let at = start + 1;
  while (text[at] !== '"') at += text[at] === "\\" ? 2 : 1;
  return at + 1;
}

function isKey(text: string, end: number): boolean {
  let at = end;
  while (at < text.length && " \t\r\n".includes(text.charAt(at))) at++;
  return text[at] === ":";
}

function addKey(keys: Set<string> | undefined, quoted: string, document: string): void {
  assert(keys !== undefined, "a key stands in an object");
  const key: string = JSON.parse(quoted);
  if (keys.has(key)) {
    throw new OsdeployError("bad-format", `Cannot read ${document}: it has the key ${quoted.slice(0, 80)} twice`);
  }
  keys.add(key);
}
