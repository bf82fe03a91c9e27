import { readFileSync } from "node:fs";
import { argumentText } from "../core/bytes/argument-text.ts";

/**
 * The words of this process's command line: those that Node decoded, as {@link argumentText} where they are no UTF-8. `words` are
 * the last ones of what the kernel has, behind Node, its options and the program.
 */
export function exactArguments(words: readonly string[], commandLine = "/proc/self/cmdline"): readonly string[] {
  if (words.every((word) => !word.includes("\ufffd"))) return words;
  try {
    const bytes = readFileSync(commandLine);
    const exact = splitWords(bytes).slice(-words.length).map(argumentText);
    return exact.length === words.length ? exact : words;
  } catch {
    // Without /proc it is as Node has it.
    return words;
  }
}

/** Each ends with a NUL. */
function splitWords(bytes: Uint8Array): readonly Uint8Array[] {
  const words: Uint8Array[] = [];
  for (let start = 0, end = bytes.indexOf(0); end !== -1; end = bytes.indexOf(0, start)) {
    words.push(bytes.subarray(start, end));
    start = end + 1;
  }
  return words;
}
