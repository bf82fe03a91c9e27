import type { TarTime } from "../tar/tar-number.ts";

/** Characters that Go's encoder escapes and JSON does not ask for: it thinks of pages that hold the text in a script. */
const escaped = /[<>&\u2028\u2029]/g;

/** `text` as Go's `encoding/json` writes it. */
export function goJson(text: string): string {
  return JSON.stringify(text).replace(
    escaped,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

const daySeconds = 86_400n;
/** Days from 1 March of the year 0 to 1970. */
const daysBefore1970 = 719_468n;
/** Days of 400 years. */
const eraDays = 146_097n;

/**
 * A time in UTC as Go's `time.Time` writes itself: RFC 3339 with as many digits of the second as it needs. Undefined for
 * years that have not four digits, which Go refuses.
 */
export function goTime({ seconds, nanoseconds }: TarTime): string | undefined {
  const day = floorDivide(seconds, daySeconds);
  const { year, month, dayOfMonth } = civilDate(day);
  if (year < 0 || year > 9999) return undefined;
  const second = Number(seconds - day * daySeconds);
  const fraction = nanoseconds === 0 ? "" : `.${String(nanoseconds).padStart(9, "0").replace(/0+$/, "")}`;
  const date = `${pad(year, 4)}-${pad(month, 2)}-${pad(dayOfMonth, 2)}`;
  const clock = [Math.floor(second / 3600), Math.floor(second / 60) % 60, second % 60].map((part) => pad(part, 2));
  return `${date}T${clock.join(":")}${fraction}Z`;
}

/** The date that is `day` days after 1 January 1970. Counts years from March, so that a leap day is the last of one. */
function civilDate(day: bigint): { readonly year: number; readonly month: number; readonly dayOfMonth: number } {
  const shifted = day + daysBefore1970;
  const era = floorDivide(shifted, eraDays);
  const dayOfEra = Number(shifted - era * eraDays);
  const leapDays = Math.floor(dayOfEra / 1460) - Math.floor(dayOfEra / 36_524) + Math.floor(dayOfEra / 146_096);
  const yearOfEra = Math.floor((dayOfEra - leapDays) / 365);
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100));
  const monthFromMarch = Math.floor((5 * dayOfYear + 2) / 153);
  const dayOfMonth = dayOfYear - Math.floor((153 * monthFromMarch + 2) / 5) + 1;
  const month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9;
  return { year: Number(era) * 400 + yearOfEra + (month <= 2 ? 1 : 0), month, dayOfMonth };
}

function floorDivide(value: bigint, by: bigint): bigint {
  const quotient = value / by;
  return quotient * by > value ? quotient - 1n : quotient;
}

function pad(value: number, digits: number): string {
  return String(value).padStart(digits, "0");
}
