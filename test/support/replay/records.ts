/** Generations and feedback for the tests of the store. They are plain data, so that child processes can use them too. */

import type {
  EditWrite,
  GenerationAdmission,
  GenerationCompletion,
  PreferenceOutcome,
  PreferenceWrite,
  ScoreWrite,
} from '../../../src/replay/index.js';

const by = { rater: 'ann', metric: 'quality', idempotencyKey: '', createdAtMs: 3000 };

export function admission(id: string, over: Partial<GenerationAdmission> = {}): GenerationAdmission {
  return {
    id,
    origin: 'sampled',
    groupKey: 'group',
    packageDigest: 'package',
    version: 3,
    adapterDigest: 'adapter',
    promptTokens: Uint32Array.of(1, 2, 70000),
    promptJson: '"What now?"',
    metadataJson: '{}',
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
  return { type: 'score', generationId, value, ...by, ...over };
}

export function preferenceWrite(
  generationId: string,
  otherId: string,
  outcome: PreferenceOutcome | null,
  over: Partial<PreferenceWrite> = {},
): PreferenceWrite {
  return { type: 'preference', generationId, otherId, outcome, ...by, ...over };
}

/** An edit whose tokens are its characters. */
export function editWrite(
  id: string,
  generationId: string,
  text: string,
  value: number,
  over: Partial<EditWrite> = {},
): EditWrite {
  const tokens = Uint32Array.from(text, (character) => character.codePointAt(0) ?? 0);
  return { type: 'edit', id, generationId, text, tokens, value, ...by, ...over };
}
