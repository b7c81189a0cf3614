export { readerStalled } from './completion-stream.js';
export { defaultMaxStalledMs, type PolicyOptions } from './options.js';
export { plainSampling } from './sampling/plain-sampling.js';
export {
  type ChooseThreadsOptions,
  chooseThreads,
  type ThreadChoice,
  type ThreadMeasurement,
} from './start-up/index.js';
export type {
  CompletionEvent,
  CompletionFinished,
  CompletionRequest,
  FinishReason,
  HoldReport,
  Policy,
  PolicyObserver,
  PolicyStatus,
  PolicyVersion,
  PrefixCacheStatus,
  RequestedCompletion,
  RequestStarted,
  SamplingSettings,
  StartReport,
  SwapReport,
  TokenChunk,
  TopLogprob,
  TurnReport,
} from './types.js';
export { WorkerHandle } from './worker-handle.js';
export { openPolicy } from './worker-policy.js';
