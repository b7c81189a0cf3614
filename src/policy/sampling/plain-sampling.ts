/** Sampling from the policy as it is. */

import type { SamplingSettings } from '../completion-request.js';

/** Temperature 1 and nothing else: what is drawn follows pi itself. */
export function plainSampling(maxTokens: number): SamplingSettings {
  return {
    temperature: 1,
    topP: 1,
    topK: 0,
    minP: 0,
    maxTokens,
    stop: [],
    ignoreEos: false,
    presencePenalty: 0,
    frequencyPenalty: 0,
    repetitionPenalty: 1,
    logitBias: {},
    topLogprobs: 0,
  };
}
