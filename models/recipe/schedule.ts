/** The learning rate of a step. */

/** Returns the rate after linear warm-up, then a half cosine down to a twentieth of it. */
export function cosine(rate: number, warmupSteps: number, steps: number): (step: number) => number {
  return (step) => {
    if (step < warmupSteps) return (rate * (step + 1)) / warmupSteps;
    const share = Math.min(1, (step - warmupSteps) / Math.max(1, steps - warmupSteps));
    return rate * (0.05 + 0.95 * 0.5 * (1 + Math.cos(Math.PI * share)));
  };
}
