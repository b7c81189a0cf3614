export { AdamW, type AdamWSettings, type AdamWState, type StepOutcome, warmUp } from './adamw.js';
export { addCopgObjective, addCrossEntropy, addRowLogprobs, linearForm, summarize } from './objective.js';
export {
  createOnnxEngine,
  deriveGraphs,
  OnnxEngine,
  type OnnxEngineOptions,
  trainingProbeSizes,
} from './onnx-engine.js';
export { type PackedRows, packRows } from './packing.js';
export { tokenLogprobs, toTrainingGraph } from './training-graph.js';
export type * from './types.js';
