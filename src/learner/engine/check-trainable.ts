/** Checks before the learner starts that a package can be trained: a walk over its graph, without a session. */

import { HoneError } from '../../errors.js';
import type { Graph } from '../../onnx/index.js';
import type { LearnerSettings } from '../types.js';
import { checkDerivable } from './adapted-graph.js';

/**
 * @param decoder the package's graph, as `readDecoder` returns it
 * @param modelPath names the file in errors
 * @throws HoneError `MODEL_NOT_TRAINABLE` if linear layers have no names or the graph has no training variant,
 * `OPERATOR_NOT_DIFFERENTIABLE` or `OPERATOR_UNSUPPORTED` for an operator that the engine cannot differentiate
 */
export async function checkTrainable(
  decoder: Graph,
  modelPath: string,
  { engine }: Pick<LearnerSettings, 'engine'>,
): Promise<void> {
  try {
    if (engine === 'tfjs') (await import('./tfjs/tfjs-engine.js')).checkInterpretable(decoder);
    else checkDerivable(decoder);
  } catch (cause) {
    const { code, message } = HoneError.from(cause);
    throw new HoneError(code, `${modelPath}: ${message}`, { cause });
  }
}
