/**
 * Which numbers of threads are tried, and which of them is taken: the measurement itself is handed in.
 *
 * The figure of merit is the geometric mean of a step of one row and a step of eight: one person's wait and a crowd's
 * throughput count alike. The doors count, which need a core to be heard on. The learner counts too: threads that spin
 * hardly notice a neighbour of the lowest priority, but leave it nothing, and a server that is always busy would never
 * learn.
 */

/** A way to run the decoder. */
export interface ThreadSetting {
  readonly threads: number;
  /** Whether idle threads spin. One thread has nobody to spin for: false. */
  readonly spin: boolean;
}

/** What a step took, milliseconds. */
export interface StepTimes {
  readonly oneRowMs: number;
  readonly eightRowsMs: number;
}

/** What was measured with a setting. */
export interface ThreadMeasurement extends ThreadSetting, StepTimes {
  /** Work that the neighbour got done meanwhile, as a share of what it did beside the first setting; 1 without one. */
  readonly neighbourShare: number;
}

/** What is left to choose: `undefined` is open. */
export interface ThreadWishes {
  readonly threads: number | undefined;
  readonly spin: boolean | undefined;
}

/** A further thread must bring this much, or the core is better left to others. */
const worthwhile = 1.05;
/**
 * Spinning on every core must bring this much: the doors work on one of them. Through gRPC, a quarter more in bare steps
 * (the default policy, two cores) became a quarter less; half more (135M) remained a fifth more.
 */
const worthTheLastCore = 1.4;
/** A setting that leaves the neighbour less than this is not taken. */
const leastShare = 0.5;
/** Counts above this that are tried: neighbours in a row differ too little to tell apart. */
const tried = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128];

/** What there is to try, by number of threads, fewest first; spinning comes after not spinning. */
export function settingsToTry(cores: number, { threads, spin }: ThreadWishes): ThreadSetting[][] {
  const counts = threads === undefined ? tried.filter((count) => count <= cores) : [threads];
  // All cores are always tried: that is what people expect.
  if (threads === undefined && counts.at(-1) !== cores && cores <= 128) counts.push(cores);
  return counts.map((count) => {
    if (count === 1) return [{ threads: 1, spin: false }];
    return (spin === undefined ? [false, true] : [spin]).map((spinning) => ({ threads: count, spin: spinning }));
  });
}

/**
 * Measures setting after setting, fewest threads first, until two numbers of threads in a row bring nothing or the time
 * is over; two are always measured.
 * @param measure of the settings of one number of threads
 */
export async function climb<Measured extends StepTimes>(
  settings: readonly (readonly ThreadSetting[])[],
  measure: (settings: readonly ThreadSetting[]) => Promise<Measured[]>,
  isTimeOver: () => boolean,
): Promise<Measured[]> {
  const measured: Measured[] = [];
  let best = Number.POSITIVE_INFINITY;
  let inVain = 0;
  for (const [index, ofOneCount] of settings.entries()) {
    if (inVain === 2 || (index >= 2 && isTimeOver())) break;
    const now = await measure(ofOneCount);
    measured.push(...now);
    const cost = Math.min(...now.map(costOf));
    inVain = cost < best ? 0 : inVain + 1;
    best = Math.min(best, cost);
  }
  return measured;
}

/**
 * The first (so with the fewest threads) that is nearly as fast as the fastest, of those that leave the neighbour its
 * share; the first of all does by definition.
 */
export function choose(measured: readonly ThreadMeasurement[], cores: number): ThreadSetting | undefined {
  const fair = measured.filter(({ neighbourShare }) => neighbourShare >= leastShare);
  const costs = fair.map((one) => costOf(one) * (one.spin && one.threads >= cores ? worthTheLastCore : 1));
  const best = Math.min(...costs);
  const found = fair[costs.findIndex((cost) => cost <= best * worthwhile)];
  return found === undefined ? undefined : { threads: found.threads, spin: found.spin };
}

function costOf({ oneRowMs, eightRowsMs }: StepTimes): number {
  return Math.sqrt(oneRowMs * eightRowsMs);
}
