/** Works on a list with a limit on how many items run at once. */

/**
 * Works on items, at most `limit` at once, and returns the results in the order of the items. If one fails or the signal
 * aborts, the others are stopped, and the promise rejects when all of them have ended.
 */
export async function mapConcurrently<Item, Result>(
  items: readonly Item[],
  limit: number,
  signal: AbortSignal,
  work: (item: Item, index: number, signal: AbortSignal) => Promise<Result>,
): Promise<Result[]> {
  const stop = new AbortController();
  const either = AbortSignal.any([signal, stop.signal]);
  const results = new Array<Result>(items.length);
  const queue = items.entries();
  let failure: { readonly error: unknown } | null = null;
  await Promise.all(
    Array.from({ length: Math.min(limit, items.length) }, async () => {
      try {
        for (const [index, item] of queue) results[index] = await work(item, index, either);
      } catch (error) {
        failure ??= { error };
        stop.abort(error);
      }
    }),
  );
  if (failure !== null) throw (failure as { readonly error: unknown }).error;
  return results;
}
