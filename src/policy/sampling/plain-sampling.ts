/** Settings that draw from the policy's own distribution. */

import type { SamplingSettings } from '../completion-request.js';

/** Returns settings with temperature 1 and everything else off, so that completions are drawn from pi itself. */
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
