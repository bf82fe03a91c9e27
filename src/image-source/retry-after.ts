/** A server that asks to wait for longer than this says that it does not want us today. */
const secondsLimit = 100_000;

/**
 * How long `Retry-After` asks to wait, in milliseconds; undefined when it says nothing that can be understood.
 *
 * A date counts from the server's own time, which the answer has to tell: the two clocks need not agree.
 *
 * @see https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3
 */
export function retryAfterMs({
  retryAfter,
  date,
}: {
  readonly retryAfter: string | undefined;
  readonly date: string | undefined;
}): number | undefined {
  if (retryAfter === undefined) return undefined;
  if (/^[0-9]{1,9}$/.test(retryAfter)) return Math.min(Number(retryAfter), secondsLimit) * 1000;
  const until = timeOf(retryAfter);
  const now = timeOf(date);
  return until === undefined || now === undefined ? undefined : Math.min(Math.max(until - now, 0), secondsLimit * 1000);
}

const months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** Milliseconds since 1970 of a date as HTTP has it: `Sun, 06 Nov 1994 08:49:37 GMT`. */
function timeOf(text: string | undefined): number | undefined {
  const match = /^[A-Z][a-z]{2}, ([0-9]{2}) ([A-Z][a-z]{2}) ([0-9]{4}) ([0-9]{2}):([0-9]{2}):([0-9]{2}) GMT$/.exec(
    text ?? "",
  );
  if (match === null) return undefined;
  const [, day, month, year, hour, minute, second] = match;
  const index = months.indexOf(month ?? "");
  if (index < 0) return undefined;
  return Date.UTC(Number(year), index, Number(day), Number(hour), Number(minute), Number(second));
}
