/** Opens the training engine that the settings name. The learner process asks here and nowhere else. */

import { HoneError } from '../../errors.js';
import type { AdapterTarget } from '../../versions/types.js';
import type { LearnerSettings, TrainingEngine } from '../types.js';
import { createBoundedOnnxEngine } from './onnx-engine.js';
import { createTfjsEngine } from './tfjs/tfjs-engine.js';

export interface OpenEngineOptions {
  /** The package's folder; its `onnx/model.onnx` is differentiated. */
  readonly packageDirectory: string;
  readonly settings: LearnerSettings;
}

/** An engine that knows which linear layers it trains. */
export type OpenedEngine = TrainingEngine & { readonly targets: readonly AdapterTarget[] };

/**
 * Opens the engine on the device; what was asked for and is not there is refused, never replaced by something else.
 * @throws HoneError `ENGINE_UNAVAILABLE`, `DEVICE_UNAVAILABLE`, `MODEL_INVALID`, `OPERATOR_UNSUPPORTED`,
 * `OPERATOR_NOT_DIFFERENTIABLE`; `INVALID_OPTIONS` where a memory budget leaves nothing for a batch, or the engine knows none
 */
export async function openEngine({ packageDirectory, settings }: OpenEngineOptions): Promise<OpenedEngine> {
  const { engine, device, rank, scale, threads, memoryBytes } = settings;
  switch (engine) {
    case 'onnx':
      if (device !== 'cpu') {
        throw new HoneError('DEVICE_UNAVAILABLE', `the learner cannot run on ${device} here: use --learner-device cpu`);
      }
      return createBoundedOnnxEngine({ packageDirectory, rank, scale, threads }, memoryBytes);
    case 'tfjs':
      if (memoryBytes !== null) {
        throw new HoneError(
          'INVALID_OPTIONS',
          'the tfjs engine cannot keep to a memory budget: leave --learner-memory away, or use --learner-engine onnx',
        );
      }
      return createTfjsEngine({ packageDirectory, rank, scale, threads, device });
    default:
      return engine satisfies never;
  }
}
