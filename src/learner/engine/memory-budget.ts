/** Turns a memory budget of the learner process into passes that keep to it. */

import { HoneError } from '../../errors.js';
import type { TrainingEngine } from '../types.js';
import { MicroBatchEngine } from './micro-batches.js';
import type { PassMemory, PassShape } from './pass-memory.js';

/** What an engine takes, as far as it depends on the batch and as far as it does not. */
export interface EngineMemory {
  /** Of a pass that gives gradients. */
  readonly backward: PassMemory;
  /** Of a pass that gives log-probabilities. */
  readonly forward: PassMemory;
  /** Weights in mapped files, read in as passes touch them; shared with the server. */
  readonly mappedBytes: number;
  /** Longest sequence that the engine packs, in tokens. */
  readonly maxLength: number;
}

/** The shortest batch that there is. */
const least: PassShape = { sequences: 1, length: 2, targets: 1, rows: 1 };

/** Copies of the adapter's size beside those of a pass: weights, reference, two moments, the sum of gradients, an upload. */
const adapterCopies = 6;

/**
 * The engine, in micro-batches where a batch would take the process past its budget.
 * @param memoryBytes largest memory of the process, mapped weights counted once; null leaves it unbounded
 * @param residentBytes what the process holds now, before the first pass
 * @throws HoneError `INVALID_OPTIONS` where the model leaves nothing of the budget for a batch
 */
export function keepToBudget(
  engine: TrainingEngine,
  memory: EngineMemory,
  memoryBytes: number,
  adapterBytes: number,
  residentBytes: number = process.memoryUsage.rss(),
): TrainingEngine {
  const base = residentBytes + memory.mappedBytes + adapterCopies * adapterBytes;
  // Each session keeps the memory of its largest pass.
  const needs = (shape: PassShape): number => base + memory.forward(shape) + memory.backward(shape);
  if (needs(least) > memoryBytes) {
    throw new HoneError(
      'INVALID_OPTIONS',
      `the learner may use ${megabytes(memoryBytes)} MB, and the model takes ${megabytes(needs(least))} MB before any ` +
        'batch: raise --learner-memory, or leave it away',
    );
  }
  return new MicroBatchEngine(engine, {
    maxLength: memory.maxLength,
    fits: (shape) => needs(shape) <= memoryBytes,
  });
}

const megabytes = (bytes: number): number => Math.ceil(bytes / 1e6);
