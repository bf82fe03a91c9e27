import type { SentCompanions } from "../../operations/send-image.ts";

/** What became of what is beside an image; undefined where nothing is. */
export function companionsText({ copied, leftBehind }: SentCompanions): string | undefined {
  if (copied === 0 && leftBehind === 0) return undefined;
  if (copied === 0) return `${leftBehind} signatures and artifacts were left behind`;
  return `${copied} signatures and artifacts copied${leftBehind === 0 ? "" : `, ${leftBehind} left behind`}`;
}
