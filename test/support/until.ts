/** Waits for a condition, an event or a random moment. Tests never wait for a fixed time. */

/** Longest wait: longer than anything takes on a busy machine, and shorter than the time limit of a test. */
const longestMs = 150_000;

/**
 * Resolves when `condition` holds. It polls, for changes in another process that sends no event.
 * @param what a clause that completes "waited in vain until ..."
 */
export async function until(
  condition: () => boolean | Promise<boolean>,
  what: string | (() => string),
  { everyMs = 20 }: { readonly everyMs?: number } = {},
): Promise<void> {
  const deadline = performance.now() + longestMs;
  while (!(await condition())) {
    if (performance.now() > deadline) {
      throw new Error(`waited in vain until ${typeof what === 'string' ? what : what()}`);
    }
    await new Promise((resolve) => setTimeout(resolve, everyMs));
  }
}

/** Waits until a moment that does not matter exactly, such as that of a kill, or a pause of a caller. */
export function later(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Calls back at such a moment. @returns a function that cancels it */
export function after(ms: number, callback: () => void): () => void {
  const timer = setTimeout(callback, ms);
  return () => clearTimeout(timer);
}

/** A promise that a callback resolves. */
interface Signal {
  readonly given: Promise<void>;
  give(): void;
}

export function signal(): Signal {
  let give = (): void => undefined;
  const given = new Promise<void>((resolve) => {
    give = resolve;
  });
  return { given, give };
}
