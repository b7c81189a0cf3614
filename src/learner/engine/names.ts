/** The values of `--learner-engine` and `--learner-device`. */

/** `onnx`: the package's graph and its backward pass, run by onnxruntime. `tfjs`: TensorFlow.js and its autodiff. */
export const engines = ['onnx', 'tfjs'] as const;

export type EngineName = (typeof engines)[number];

/** Execution providers of onnxruntime that the learner can use, by their names there. */
export const providers = ['cpu', 'webgpu', 'cuda', 'coreml', 'dml'] as const;

export type Provider = (typeof providers)[number];

/** A provider, or `auto`, which measures the providers of this machine. */
export const devices = ['auto', ...providers] as const;

export type Device = (typeof devices)[number];
