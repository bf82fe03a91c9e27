/**
 * Does `act` with each of `items`, so many at a time. When one fails, the others that have begun come to their end, because a
 * registry keeps what it got and the next run finds it there; then it fails.
 */
export async function sideBySide<T>(
  items: readonly T[],
  lanes: number,
  act: (item: T) => Promise<void>,
): Promise<void> {
  const queue = [...items];
  let failed = false;
  const lane = async () => {
    try {
      for (let item = queue.shift(); item !== undefined && !failed; item = queue.shift()) await act(item);
    } catch (error) {
      failed = true;
      throw error;
    }
  };
  const outcomes = await Promise.allSettled(Array.from({ length: lanes }, lane));
  const failure = outcomes.find((outcome) => outcome.status === "rejected");
  if (failure !== undefined) throw failure.reason;
}
