/** Generations and scores for the tests of the store; plain data, so that a child process may use it too. */

import type { GenerationAdmission, GenerationCompletion, ScoreWrite } from '../../../src/replay/index.js';

export function admission(id: string, over: Partial<GenerationAdmission> = {}): GenerationAdmission {
  return {
    id,
    groupKey: 'group',
    packageDigest: 'package',
    version: 3,
    adapterDigest: 'adapter',
    promptTokens: Uint32Array.of(1, 2, 70000),
    promptJson: '"What now?"',
    samplingJson: '{}',
    subject: 'someone',
    createdAtMs: 1000,
    ...over,
  };
}

export function completion(id: string, over: Partial<GenerationCompletion> = {}): GenerationCompletion {
  return {
    id,
    state: 'finished',
    finishReason: 'stop',
    endOfSequence: true,
    tokens: Uint32Array.of(9, 4_000_000_000),
    text: 'Sleep on it.',
    logprobs: Float32Array.of(-0.5, -1.25),
    sampledLogprobs: Float32Array.of(-0.25, -1),
    finishedAtMs: 2000,
    ...over,
  };
}

export function scoreWrite(generationId: string, value: number | null, over: Partial<ScoreWrite> = {}): ScoreWrite {
  return { generationId, rater: 'ann', metric: 'quality', value, idempotencyKey: '', createdAtMs: 3000, ...over };
}
