/** Keeps the learner process within a memory budget: batches that are too large run as micro-batches. */

import { HoneError } from '../../errors.js';
import type { TrainingEngine } from '../types.js';
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
  /** Longest sequence that the engine packs, in tokens. */
  readonly maxLength: number;
}

/** The smallest possible batch. */
const least: PassShape = { sequences: 1, length: 2, targets: 1, rows: 1 };

/** Copies of the adapter beside those of a pass: weights, reference, two moments, the sum of gradients, the feeds. */
const adapterCopies = 6;

/**
 * The engine, which splits a batch into micro-batches if it would take the process over its budget.
 * @param memoryBytes largest memory of the process, mapped weights counted once
 * @param residentBytes memory of the process now, before the first pass
 * @throws HoneError `INVALID_OPTIONS` if the model leaves nothing of the budget for a batch
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
        'batch: raise --learner-memory, or leave it out',
    );
  }
  return new MicroBatchEngine(engine, {
    maxLength: memory.maxLength,
    fits: (shape) => needs(shape) <= memoryBytes,
  });
}

const megabytes = (bytes: number): number => Math.ceil(bytes / 1e6);
