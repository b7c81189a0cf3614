export type { PolicyOptions } from './options.js';
export type {
  CandidateFinished,
  CandidateRequest,
  CompletionEvent,
  CompletionRequest,
  CompletionStarted,
  FinishReason,
  Policy,
  PolicyStats,
  PolicyVersion,
  SamplingSettings,
  SwapReport,
  TokenChunk,
  TopLogprob,
} from './types.js';
export { openPolicy } from './worker-policy.js';
