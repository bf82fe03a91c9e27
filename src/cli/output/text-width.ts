/** Takes no column of its own: accents that stand over the letter before them, joiners, the vowels of spelt-out Hangul. */
const narrowest = /[\p{Mn}\p{Me}\p{Cf}\u1160-\u11ff]/u;

/** Takes two columns: East Asian letters and signs in their full width, and pictures. */
const widest =
  /(?![\uff61-\uffdc])[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}\p{Script=Bopomofo}\p{Script=Yi}\p{Emoji_Presentation}\u3000-\u303e\uff01-\uff60\uffe0-\uffe6]/u;

/** How many columns of a terminal a line takes, as far as terminals agree. */
export function textWidth(text: string): number {
  if (/^[ -~]*$/.test(text)) return text.length;
  let width = 0;
  for (const char of text) width += narrowest.test(char) ? 0 : widest.test(char) ? 2 : 1;
  return width;
}
