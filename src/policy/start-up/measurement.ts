/**
 * Decides which numbers of threads are tried and which one is taken. The caller passes the function that measures.
 *
 * The cost of a setting is the geometric mean of the times of a step of one row and of eight rows, so that latency for
 * one user and throughput for many have equal weight. Two more things count. The gRPC and HTTP code needs a core too.
 * And spinning threads leave almost no time to a learner of the lowest priority, so that a busy server would never
 * learn.
 */

export interface ThreadSetting {
  readonly threads: number;
  /** Whether idle threads spin. Always false for one thread, which never waits for others. */
  readonly spin: boolean;
}

/** Milliseconds per step. */
interface StepTimes {
  readonly oneRowMs: number;
  readonly eightRowsMs: number;
}

/** The measurement of one setting. */
export interface ThreadMeasurement extends ThreadSetting, StepTimes {
  /** Work of the neighbour meanwhile, relative to its work beside the first setting; 1 without a neighbour. */
  readonly neighbourShare: number;
}

/** The user's wishes. `undefined` leaves the choice to the measurement. */
export interface ThreadWishes {
  readonly threads: number | undefined;
  readonly spin: boolean | undefined;
}

/** Minimum speedup of a setting with more threads. With less, the core is left to other processes. */
const worthwhile = 1.05;
/**
 * Minimum speedup of spinning on every core, which takes time from the gRPC and HTTP code. On two cores, the default
 * policy had 25 % more steps but 25 % less throughput through gRPC. A model of 135M parameters had 50 % more steps and
 * 20 % more throughput.
 */
const worthTheLastCore = 1.4;
/** Minimum `neighbourShare` of a setting that is taken. */
const leastShare = 0.5;
/** Numbers of threads that are tried. Other numbers differ too little from these. */
const tried = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128];

/** Returns the settings to try for each number of threads, fewest first. Spinning comes last. */
export function settingsToTry(cores: number, { threads, spin }: ThreadWishes): ThreadSetting[][] {
  const counts = threads === undefined ? tried.filter((count) => count <= cores) : [threads];
  // All cores are always tried, because users expect it.
  if (threads === undefined && counts.at(-1) !== cores && cores <= 128) counts.push(cores);
  return counts.map((count) => {
    if (count === 1) return [{ threads: 1, spin: false }];
    return (spin === undefined ? [false, true] : [spin]).map((spinning) => ({ threads: count, spin: spinning }));
  });
}

/**
 * Measures settings, fewest threads first, until two numbers of threads in a row are not faster or the time is over.
 * Two numbers of threads are always measured.
 * @param measure measures the settings of one number of threads
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
 * Returns the first setting, which has the fewest threads, that is nearly as fast as the fastest. Only settings that
 * leave the neighbour its share are considered; the very first setting always does.
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
