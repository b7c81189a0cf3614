/** Keeps the learner process within a memory budget: batches that are too large run as micro-batches. */

import type { TrainingEngine } from '../types.js';
import { memoryBound } from './default-memory.js';
import { MicroBatchEngine } from './micro-batches.js';
import type { PassMemory, PassShape } from './pass-memory.js';

/** The memory that an engine takes: the part that depends on the batch, and the part that does not. */
export interface EngineMemory {
  /** Memory of a pass with gradients. */
  readonly backward: PassMemory;
  /** Memory of a pass with log-probabilities only. */
  readonly forward: PassMemory;
  /** Bytes of weights in mapped files; passes read them in, and the server shares them. */
  readonly mappedBytes: number;
  /** Bytes that grow with no batch and are not taken yet when the engine is opened. Default 0. */
  readonly laterBytes?: number;
  /** Longest sequence that the engine packs, in tokens. */
  readonly maxLength: number;
}

/** The smallest possible batch. */
const least: PassShape = { sequences: 1, length: 2, targets: 1, rows: 1 };

/** Copies of the adapter beside those of a pass: weights, reference, two moments, the sum of gradients, the feeds. */
const adapterCopies = 6;

/** Passes of different shapes leave holes in the memory of a session: measured, up to a fifth of what the largest takes. */
const fragments = 1.2;

/** An engine that keeps to a budget. */
export interface BoundedEngine {
  readonly engine: TrainingEngine;
  /** The budget in bytes. */
  readonly memoryBytes: number;
}

/**
 * The engine, which splits a batch into micro-batches if it would take the process over its budget.
 * @param askedBytes largest memory of the process, mapped weights counted once; null: see `default-memory.ts`
 * @param residentBytes memory of the process now, before the first pass
 * @throws HoneError `INVALID_OPTIONS` if the model leaves nothing of the budget for a batch
 */
export function keepToBudget(
  engine: TrainingEngine,
  memory: EngineMemory,
  askedBytes: number | null,
  adapterBytes: number,
  residentBytes: number = process.memoryUsage.rss(),
): BoundedEngine {
  const base = residentBytes + memory.mappedBytes + (memory.laterBytes ?? 0) + adapterCopies * adapterBytes;
  // Each session keeps the memory of its largest pass.
  const needs = (shape: PassShape): number => base + fragments * (memory.forward(shape) + memory.backward(shape));
  const memoryBytes = memoryBound(askedBytes, needs(least));
  const fits = (shape: PassShape): boolean => needs(shape) <= memoryBytes;
  return { engine: new MicroBatchEngine(engine, { maxLength: memory.maxLength, fits }), memoryBytes };
}

/** Bytes of the adapter's matrices. */
export function adapterBytesOf({ targets }: Pick<TrainingEngine, 'targets'>, rank: number): number {
  return targets.reduce((sum, { inFeatures, outFeatures }) => sum + 4 * rank * (inFeatures + outFeatures), 0);
}
