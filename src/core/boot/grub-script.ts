/**
 * One word of a GRUB script that means exactly `text`: nothing in it is expanded or run. Whoever made the image chose it.
 *
 * Control characters become spaces, for GRUB's lexer treats some of them as the end of a line even between quotes.
 */
export function grubWord(text: string): string {
  return `'${text.replace(/\p{Cc}+/gu, " ").replaceAll("'", String.raw`'\''`)}'`;
}

/**
 * Kernel arguments as words of a GRUB script. GRUB puts words with spaces between double quotes again when it hands them to
 * the kernel, and double quotes of their own behind backslashes, which the kernel does not know: so quotes go here.
 * `a="b c"` reaches the kernel as `"a=b c"`, which it takes for the same.
 */
export function grubKernelWords(words: readonly string[]): string {
  return words.map((word) => grubWord(word.replaceAll('"', ""))).join(" ");
}
