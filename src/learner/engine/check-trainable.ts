/** Whether a package can be learned from, told before the learner starts: a walk over its graph, without a session. */

import { HoneError } from '../../errors.js';
import type { Graph } from '../../onnx/index.js';
import type { LearnerSettings } from '../types.js';
import { checkDerivable } from './onnx-engine.js';
import { checkInterpretable } from './tfjs/tfjs-engine.js';

/**
 * @param decoder the package's graph, as `readDecoder` gives it
 * @param modelPath names the file in errors
 * @throws HoneError `MODEL_NOT_TRAINABLE` if linear layers have no names or the graph no training variant,
 * `OPERATOR_NOT_DIFFERENTIABLE` or `OPERATOR_UNSUPPORTED` for an operator that the engine cannot differentiate
 */
export function checkTrainable(decoder: Graph, modelPath: string, { engine }: Pick<LearnerSettings, 'engine'>): void {
  try {
    if (engine === 'tfjs') checkInterpretable(decoder);
    else checkDerivable(decoder);
  } catch (cause) {
    const { code, message } = HoneError.from(cause);
    throw new HoneError(code, `${modelPath}: ${message}`, { cause });
  }
}
