/** A line of a boot loader's file: a word, and what follows it. */
export interface LineField {
  readonly key: string;
  readonly value: string;
}

/**
 * The lines that have both, as systemd-boot reads its files: a carriage return ends a line as well, and white space around key
 * and value counts for nothing. Comments are passed over. Linear in the text, whatever it holds.
 */
export function lineFields(text: string): readonly LineField[] {
  return text.split(/[\r\n]/).flatMap((line) => {
    const words = line.trim();
    const blank = words.search(/\s/);
    if (blank < 0 || words.startsWith("#")) return [];
    return [{ key: words.slice(0, blank), value: words.slice(blank).trimStart() }];
  });
}
