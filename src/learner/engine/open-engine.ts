/** Opens the training engine that the settings name. The learner process opens its engine here and nowhere else. */

import { HoneError } from '../../errors.js';
import type { EngineReport } from '../process/messages.js';
import type { LearnerSettings, TrainingEngine } from '../types.js';
import { chooseDevice } from './choose-device.js';
import { createBoundedOnnxEngine } from './onnx-engine.js';
import { createTfjsEngine } from './tfjs/tfjs-engine.js';

interface OpenEngineOptions {
  /** The package's folder; its `onnx/model.onnx` is differentiated. */
  readonly packageDirectory: string;
  readonly settings: LearnerSettings;
  /** Called once the engine is open. */
  readonly onOpened?: (report: EngineReport) => void;
}

/**
 * Opens the engine on the device. An engine or device that is missing is an error; nothing else takes its place.
 * @throws HoneError `ENGINE_UNAVAILABLE`, `DEVICE_UNAVAILABLE`, `MODEL_INVALID`, `OPERATOR_UNSUPPORTED`,
 * `OPERATOR_NOT_DIFFERENTIABLE`; `INVALID_OPTIONS` if the memory budget leaves nothing for a batch, or if the engine
 * cannot keep to a budget
 */
export async function openEngine(options: OpenEngineOptions): Promise<TrainingEngine> {
  const { engine } = options.settings;
  switch (engine) {
    case 'onnx':
      return openOnnx(options);
    case 'tfjs':
      return openTfjsEngine(options);
    default:
      return engine satisfies never;
  }
}

async function openOnnx({ packageDirectory, settings, onOpened }: OpenEngineOptions): Promise<TrainingEngine> {
  const { rank, scale, threads, logProbability, memoryBytes } = settings;
  const { provider, detail, stepMs } = await chooseDevice({ packageDirectory, settings });
  const options = { packageDirectory, rank, scale, threads, logProbability, provider };
  const engine = await createBoundedOnnxEngine(options, memoryBytes);
  onOpened?.({ engine: 'onnx', device: provider, detail, stepMs });
  return engine;
}

async function openTfjsEngine({ packageDirectory, settings, onOpened }: OpenEngineOptions): Promise<TrainingEngine> {
  const { rank, scale, threads, logProbability, device, memoryBytes } = settings;
  if (memoryBytes !== null) {
    throw new HoneError(
      'INVALID_OPTIONS',
      'the tfjs engine cannot keep to a memory budget: leave --learner-memory out, or use --learner-engine onnx',
    );
  }
  const engine = await createTfjsEngine({ packageDirectory, rank, scale, logProbability, threads, device });
  onOpened?.({ engine: 'tfjs', device: engine.backend, detail: engine.backend, stepMs: {} });
  return engine;
}
