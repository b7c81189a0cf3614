export { acquireLockFile, type LockFile } from '../process/lock-file.js';
export { AdamW, type AdamWSettings, type AdamWState, type StepOutcome } from './adamw.js';
export { checkTrainable } from './engine/check-trainable.js';
export {
  chooseDevice,
  type DeviceChoice,
  type DeviceChoiceOptions,
  fastest,
  type TriedDevice,
} from './engine/choose-device.js';
export { checkOffered, offeredProviders } from './engine/device.js';
export {
  type DeviceFigures,
  type DeviceTrial,
  largestDifference,
  outcomeOf,
  tryDevice,
  worstDifference,
} from './engine/device-trial.js';
export { addCrossEntropy } from './engine/losses.js';
export {
  MicroBatchEngine,
  type MicroBatchOptions,
  planMicroBatches,
} from './engine/micro-batches.js';
export { type Device, devices, type EngineName, type Provider, providers } from './engine/names.js';
export {
  createBoundedOnnxEngine,
  createOnnxEngine,
  deriveGraphs,
  OnnxEngine,
  type OnnxEngineOptions,
} from './engine/onnx-engine.js';
export { openEngine } from './engine/open-engine.js';
export { type PackedRows, packRows } from './engine/packing.js';
export { fitToProvider } from './engine/provider-graph.js';
export type { TfjsBackend } from './engine/tfjs/backend.js';
export type { AddonReport, AddonRequest } from './engine/tfjs/native-addon.js';
export { createTfjsEngine, type TfjsEngine, type TfjsEngineOptions } from './engine/tfjs/tfjs-engine.js';
export { tokenLogprobs, toTrainingGraph, trainingProbeSizes } from './engine/training-graph.js';
export { ExperienceBuffer } from './experience/buffer.js';
export { type TrainingObstacle, type TrainingRules, trainingObstacles } from './experience/eligibility.js';
export { initialParameters, toAdapter, toParameters } from './initialization.js';
export { type LinearForm, weightsOf } from './linear-form.js';
export { type CopgBatch, type CopgResult, copgFigures, copgForm, differentiateCopg } from './objective.js';
export type {
  EngineReport,
  LearnerCommand,
  LearnerEvent,
  LearnerStart,
  LiveVersionChange,
} from './process/messages.js';
export {
  type BufferStatus,
  type LearnerProgress,
  type LearnerState,
  type LearnerStatus,
  nothingLearned,
} from './process/status.js';
export { createLearner, type LearnerOptions, LearnerSupervisor, startLearner } from './process/supervisor.js';
export type { GuardCheck } from './round/guard.js';
export { RoundMeter } from './round/round-meter.js';
export { learnStep } from './round/step.js';
export { TrainingState } from './round/training-state.js';
export { betaAt, learningRates, warmUp } from './schedules.js';
export { checkLearnerSettings, type LearnerSettingsInput } from './settings.js';
export type * from './types.js';
