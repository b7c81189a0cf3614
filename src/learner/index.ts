export { AdamW, type AdamWSettings, type AdamWState, type StepOutcome } from './adamw.js';
export {
  MicroBatchEngine,
  type MicroBatchOptions,
  planMicroBatches,
  type TargetedEngine,
} from './engine/micro-batches.js';
export {
  createBoundedOnnxEngine,
  createOnnxEngine,
  deriveGraphs,
  OnnxEngine,
  type OnnxEngineOptions,
} from './engine/onnx-engine.js';
export { type PackedRows, packRows } from './engine/packing.js';
export { tokenLogprobs, toTrainingGraph, trainingProbeSizes } from './engine/training-graph.js';
export { isStale, type TrainingObstacle, type TrainingRules, trainingObstacles } from './experience/eligibility.js';
export { acquireLockFile, type LockFile } from './lock-file.js';
export { addCopgObjective, addCrossEntropy, addRowLogprobs, advantagesOf, linearForm, summarize } from './objective.js';
export { type LearnerReport, nothingLearned } from './report.js';
export { betaAt, learningRates, warmUp } from './schedules.js';
export { checkLearnerSettings, type LearnerSettingsInput } from './settings.js';
export { type LearnerOptions, LearnerSupervisor, startLearner } from './supervisor.js';
export type * from './types.js';
