/** Opens the training engine that the settings name. The learner process opens its engine here and nowhere else. */

import type { EngineReport } from '../process/messages.js';
import type { LearnerSettings, TrainingEngine } from '../types.js';
import { chooseDevice } from './choose-device.js';
import { createBoundedOnnxEngine, createOnnxEngine } from './onnx-engine.js';
import { createTfjsEngine, keepTfjsToBudget } from './tfjs/tfjs-engine.js';

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
 * `OPERATOR_NOT_DIFFERENTIABLE`; `INVALID_OPTIONS` if the memory budget leaves nothing for a batch
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
  const { rank, scale, threads, logProbability } = settings;
  const { provider, detail, stepMs } = await chooseDevice({ packageDirectory, settings });
  const options = { packageDirectory, rank, scale, threads, logProbability, provider };
  // Passes on another device take its memory, which nothing here measures: only a bound that the user sets counts there.
  const isUnbounded = provider !== 'cpu' && settings.memoryBytes === null;
  const { engine, memoryBytes } = isUnbounded
    ? { engine: await createOnnxEngine(options), memoryBytes: null }
    : await createBoundedOnnxEngine(options, settings.memoryBytes);
  onOpened?.({ engine: 'onnx', device: provider, detail, stepMs, memoryBytes });
  return engine;
}

async function openTfjsEngine({ packageDirectory, settings, onOpened }: OpenEngineOptions): Promise<TrainingEngine> {
  const { rank, scale, threads, logProbability, device } = settings;
  const options = { packageDirectory, rank, scale, logProbability, threads, device };
  const opened = await createTfjsEngine(options);
  const { backend } = opened;
  const isUnbounded = backend === 'node-gpu' && settings.memoryBytes === null;
  const { engine, memoryBytes } = isUnbounded
    ? { engine: opened, memoryBytes: null }
    : await keepTfjsToBudget(opened, options, settings.memoryBytes);
  onOpened?.({ engine: 'tfjs', device: backend, detail: backend, stepMs: {}, memoryBytes });
  return engine;
}
