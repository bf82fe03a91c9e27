import { expect, test } from "vitest";
import { grubKernelWords, grubWord } from "../../../../src/core/boot/grub-script.ts";

test.each([
  ["plain", "'plain'"],
  ["", "''"],
  [`$(reboot) \${root} \`x\` "y" { } ; # \\`, `'$(reboot) \${root} \`x\` "y" { } ; # \\'`],
  ["it's", String.raw`'it'\''s'`],
  ["two\nlines\r\n\0\u0085", "'two lines '"],
])("grubWord: %j is one word", (text, word) => {
  expect(grubWord(text)).toBe(word);
});

test("grubKernelWords: double quotes go, for GRUB puts them again", () => {
  expect(grubKernelWords(["quiet", 'dyndbg="file a.c +p"', '"a=b c"', "x='y'"])).toBe(
    String.raw`'quiet' 'dyndbg=file a.c +p' 'a=b c' 'x='\''y'\'''`,
  );
  expect(grubKernelWords([])).toBe("");
});
