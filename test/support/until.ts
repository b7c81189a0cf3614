/** How tests wait: for a condition, never for a time. */

/** Longer than anything takes on a busy machine; shorter than what a test may take. */
const longestMs = 150_000;

/**
 * Resolves when `condition` holds; polls, for what lies in another process and sends no event.
 * @param what completes "waited in vain until ..."
 */
export async function until(
  condition: () => boolean | Promise<boolean>,
  what: string | (() => string),
  everyMs = 20,
): Promise<void> {
  const deadline = performance.now() + longestMs;
  while (!(await condition())) {
    if (performance.now() > deadline) {
      throw new Error(`waited in vain until ${typeof what === 'string' ? what : what()}`);
    }
    await new Promise((resolve) => setTimeout(resolve, everyMs));
  }
}

/** For what comes at some moment or other, and nothing is said of when: a kill in the middle, a caller who thinks. */
export function later(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** The same with a callback. @returns what calls it off */
export function after(ms: number, callback: () => void): () => void {
  const timer = setTimeout(callback, ms);
  return () => clearTimeout(timer);
}

/** Something that a test waits for and that is told in a callback. */
export interface Signal {
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
