/**
 * The process that measures: a child of the server that makes sessions, times them and ends, and leaves neither memory nor
 * threads behind. It ends with its parent.
 */

import { readDecoder } from '../../package/index.js';
import { toDecodeGraph } from '../decode-graph.js';
import { firstLayers } from './first-layers.js';
import { climb, type ThreadMeasurement, type ThreadSetting } from './measurement.js';
import { startNeighbour } from './neighbour.js';
import { createStepTimer, type StepTimer } from './step-timer.js';

/** What is measured. */
export interface MeasuringOrder {
  readonly modelPath: string;
  readonly contextLength: number;
  readonly settings: readonly (readonly ThreadSetting[])[];
  /** Busy threads beside; 0: none. */
  readonly neighbourThreads: number;
  /** No further number of threads is tried after so long. */
  readonly enoughMs: number;
}

/** More than the caches of common processors hold. */
const surrogateBytes = 64 * 1024 * 1024;
/** Each figure is the best of so many stretches, so that what else the machine did for a moment does not count. */
const stretches = 3;
const stretchMs = 30;

process.once('disconnect', () => process.exit(0));
process.once('message', (order: MeasuringOrder) => {
  measure(order).then(
    (measured) => process.send?.(measured, undefined, undefined, () => process.exit(0)),
    // Whoever serves the model afterwards says what is wrong with it.
    () => process.exit(1),
  );
});

async function measure(order: MeasuringOrder): Promise<ThreadMeasurement[]> {
  const startedAt = performance.now();
  const neighbour = order.neighbourThreads > 0 ? startNeighbour(order.neighbourThreads) : null;
  const decode = toDecodeGraph(await readDecoder(order.modelPath), order.contextLength);
  const graph = firstLayers(decode, surrogateBytes);
  await neighbour;
  const timed = async (settings: readonly ThreadSetting[]): Promise<ThreadMeasurement[]> => {
    const timers = await Promise.all(settings.map((setting) => createStepTimer(graph, setting)));
    const measured = await alternate(timers);
    await Promise.all(timers.map((timer) => timer.close()));
    return settings.map((setting, i) => ({ ...setting, ...(measured[i] as (typeof measured)[number]) }));
  };
  const measured = await climb(order.settings, timed, () => performance.now() - startedAt > order.enoughMs);
  await (await neighbour)?.end();
  return measured;
}

/** The best stretch of each, measured in turns. */
async function alternate(timers: readonly StepTimer[]): Promise<{ oneRowMs: number; eightRowsMs: number }[]> {
  const best = timers.map(() => ({ oneRowMs: Number.POSITIVE_INFINITY, eightRowsMs: Number.POSITIVE_INFINITY }));
  for (let stretch = 0; stretch < stretches; stretch++) {
    for (const [i, timer] of timers.entries()) {
      const figures = best[i] as (typeof best)[number];
      figures.oneRowMs = Math.min(figures.oneRowMs, await timer.time(1, stretchMs));
      figures.eightRowsMs = Math.min(figures.eightRowsMs, await timer.time(8, stretchMs));
    }
  }
  return best;
}
