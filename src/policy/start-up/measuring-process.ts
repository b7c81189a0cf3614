/**
 * The process that measures. It is a child of the server, so that its memory and threads are gone when it ends. It also
 * ends with its parent.
 */

import { readDecoder } from '../../package/index.js';
import { toDecodeGraph } from '../graph/decode-graph.js';
import { firstLayers } from './first-layers.js';
import { climb, type ThreadMeasurement, type ThreadSetting } from './measurement.js';
import { type Interval, type Neighbour, startNeighbour } from './neighbour.js';
import { createStepTimer, type StepTimer } from './step-timer.js';

/** What the process has to measure. */
export interface MeasuringOrder {
  readonly modelPath: string;
  readonly contextLength: number;
  readonly settings: readonly (readonly ThreadSetting[])[];
  /** Number of busy threads beside the measurement. */
  readonly neighbourThreads: number;
  /** After this time no further number of threads is tried. Two are always tried. */
  readonly enoughMs: number;
}

/** Bytes of weights that exceed the caches of common processors. */
const beyondCachesBytes = 64 * 1024 * 1024;
/** Each figure is the best of this many stretches, so that a short disturbance does not count. */
const stretches = 3;
const stretchMs = 30;

process.once('disconnect', () => process.exit(0));
process.once('message', (order: MeasuringOrder) => {
  measure(order).then(
    (measured) => process.send?.(measured, undefined, undefined, () => process.exit(0)),
    // The policy will report what is wrong with the model when it is opened.
    () => process.exit(1),
  );
});

async function measure({ modelPath, contextLength, settings, neighbourThreads, enoughMs }: MeasuringOrder) {
  const starting = neighbourThreads > 0 ? startNeighbour(neighbourThreads) : null;
  const decode = toDecodeGraph(await readDecoder(modelPath), contextLength);
  const graph = firstLayers(decode, beyondCachesBytes);
  const neighbour = await starting;
  const timed = async (ofOneCount: readonly ThreadSetting[]): Promise<Timed[]> => {
    const timers = await Promise.all(ofOneCount.map((setting) => createStepTimer(graph, setting)));
    const figures = await alternate(timers);
    await Promise.all(timers.map((timer) => timer.close()));
    return ofOneCount.map((setting, i) => ({ ...setting, ...(figures[i] as (typeof figures)[number]) }));
  };
  const startedAt = performance.now();
  const measured = await climb(settings, timed, () => performance.now() - startedAt > enoughMs);
  const shared = await withShares(measured, neighbour);
  await neighbour?.end();
  return shared;
}

type Timed = Omit<ThreadMeasurement, 'neighbourShare'> & { readonly intervals: readonly Interval[] };

/** Measures with all timers in turns and returns the best stretch of each. */
async function alternate(timers: readonly StepTimer[]): Promise<Omit<Timed, keyof ThreadSetting>[]> {
  const all = timers.map(() => ({ one: [] as number[], eight: [] as number[], intervals: [] as Interval[] }));
  for (let stretch = 0; stretch < stretches; stretch++) {
    for (const [i, timer] of timers.entries()) {
      const { one, eight, intervals } = all[i] as (typeof all)[number];
      const from = performance.timeOrigin + performance.now();
      one.push(await timer.time(1, stretchMs));
      eight.push(await timer.time(8, stretchMs));
      intervals.push({ from, to: performance.timeOrigin + performance.now() });
    }
  }
  return all.map(({ one, eight, intervals }) => {
    return { oneRowMs: Math.min(...one), eightRowsMs: Math.min(...eight), intervals };
  });
}

/** Adds the neighbour's share of each setting, relative to the first one, beside which it gets the most. */
async function withShares(measured: readonly Timed[], neighbour: Neighbour | null): Promise<ThreadMeasurement[]> {
  const shares: number[] = [];
  for (const { intervals } of measured) shares.push((await neighbour?.pace(intervals)) ?? 0);
  const usual = shares[0] ?? 0;
  return measured.map(({ intervals: _, ...figures }, i) => {
    return { ...figures, neighbourShare: usual === 0 ? 1 : (shares[i] as number) / usual };
  });
}
