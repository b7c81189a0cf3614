/** Opens the training engine that the settings name. The learner process asks here and nowhere else. */

import { HoneError } from '../../errors.js';
import type { AdapterTarget } from '../../versions/types.js';
import type { EngineReport, LearnerSettings, TrainingEngine } from '../types.js';
import { chooseDevice } from './choose-device.js';
import { createOnnxEngine } from './onnx-engine.js';

export interface OpenEngineOptions {
  /** The package's folder; its `onnx/model.onnx` is differentiated. */
  readonly packageDirectory: string;
  readonly settings: LearnerSettings;
  /** Called once the engine is open. */
  readonly onOpened?: (report: EngineReport) => void;
}

/** An engine that knows which linear layers it trains. */
export type OpenedEngine = TrainingEngine & { readonly targets: readonly AdapterTarget[] };

/**
 * Opens the engine on the device; what was asked for and is not there is refused, never replaced by something else.
 * @throws HoneError `ENGINE_UNAVAILABLE`, `DEVICE_UNAVAILABLE`, `MODEL_INVALID`, `OPERATOR_UNSUPPORTED`,
 * `OPERATOR_NOT_DIFFERENTIABLE`
 */
export async function openEngine(options: OpenEngineOptions): Promise<OpenedEngine> {
  const { engine } = options.settings;
  switch (engine) {
    case 'onnx':
      return openOnnx(options);
    case 'tfjs':
      throw new HoneError('ENGINE_UNAVAILABLE', 'this build has no tfjs engine: use --learner-engine onnx');
    default:
      return engine satisfies never;
  }
}

async function openOnnx({ packageDirectory, settings, onOpened }: OpenEngineOptions): Promise<OpenedEngine> {
  const { rank, scale, threads } = settings;
  const { provider, detail, stepMs } = await chooseDevice({ packageDirectory, settings });
  const engine = await createOnnxEngine({ packageDirectory, rank, scale, threads, provider });
  onOpened?.({ engine: 'onnx', device: provider, detail, stepMs });
  return engine;
}
