export type {
  CompletionEvent,
  CompletionFinished,
  FinishReason,
  RequestStarted,
  TokenChunk,
  TopLogprob,
} from './completion-events.js';
export type { CompletionRequest, SamplingSettings } from './completion-request.js';
export { readerStalled } from './completion-stream.js';
export { defaultMaxStalledMs, type PolicyOptions } from './options.js';
export type { Policy } from './policy.js';
export type { PolicyObserver, StartReport, TurnReport } from './policy-observer.js';
export type { BackgroundRuns, PolicyStatus } from './policy-status.js';
export type { PolicyVersion, SwapReport } from './policy-version.js';
export { plainSampling } from './sampling/plain-sampling.js';
export { type ChooseThreadsOptions, chooseThreads, type ThreadChoice } from './start-up/choose-threads.js';
export { WorkerHandle } from './worker-handle.js';
export { openPolicy } from './worker-policy.js';
