/** The batch of a training step in a bench; every engine and peer gets the same. */

import type { CopgBatch, Device, TrainingRow } from '../../src/learner/index.js';

export interface TrainingTask {
  readonly packageDirectory: string;
  readonly vocabularySize: number;
  readonly rank: number;
  readonly threads: number;
  readonly rows: number;
  readonly promptLength: number;
  readonly completionLength: number;
  /** Completions that share a prompt; 1 leaves every row alone. */
  readonly groupSize: number;
  readonly steps: number;
  /** The tfjs engine on packages of TF.js in a folder. Default: the onnx engine. */
  readonly tfjs?: { readonly backend: 'wasm' | 'node' | 'node-gpu'; readonly folder: string };
  /** Device of the onnx engine. Default cpu. */
  readonly device?: Device;
  /** Memory budget of the learner. Default: none. */
  readonly memoryBytes?: number;
}

export function batchOf(task: TrainingTask): CopgBatch {
  const { rows, promptLength, completionLength, groupSize, vocabularySize } = task;
  const token = (i: number): number => (i * 7919 + 13) % Math.min(vocabularySize, 256);
  const tokens = (seed: number, length: number): number[] => Array.from({ length }, (_, i) => token(seed * 613 + i));
  const trainingRows = Array.from({ length: rows }, (_, i): TrainingRow => {
    const group = Math.floor(i / groupSize);
    return { promptTokens: tokens(group, promptLength), completionTokens: tokens(1000 + i, completionLength) };
  });
  return {
    rows: trainingRows,
    groups: trainingRows.map((_, i) => Math.floor(i / groupSize)),
    rewards: trainingRows.map((_, i) => (i % 4) / 4),
    values: new Array<number>(rows).fill(0.5),
    referenceLogprobs: new Array<number>(rows).fill(-completionLength * Math.log(vocabularySize)),
    beta: 0.05,
  };
}
