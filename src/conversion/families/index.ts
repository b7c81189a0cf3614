/** The families of checkpoints that Hone converts. */

import { HoneError } from '../../errors.js';
import { cohere } from './cohere.js';
import { falcon } from './falcon.js';
import type { Family } from './family.js';
import { gemma, gemma2, gemma3, gemma3Text } from './gemma.js';
import { gpt2, gptj, gptNeo } from './gpt.js';
import { gptNeox } from './gpt-neox.js';
import { granite } from './granite.js';
import { llama } from './llama.js';
import { mistral } from './mistral.js';
import { olmo, olmo2 } from './olmo.js';
import { opt } from './opt.js';
import { phi, phi3 } from './phi.js';
import { qwen2, qwen3 } from './qwen.js';
import { smollm3 } from './smollm3.js';
import { stablelm } from './stablelm.js';

const families: readonly Family[] = [
  cohere,
  falcon,
  gemma,
  gemma2,
  gemma3,
  gemma3Text,
  gpt2,
  gptj,
  gptNeo,
  gptNeox,
  granite,
  llama,
  mistral,
  olmo,
  olmo2,
  opt,
  phi,
  phi3,
  qwen2,
  qwen3,
  smollm3,
  stablelm,
];

/** Every `model_type` that can be converted, sorted. */
export const convertedModelTypes: readonly string[] = families.flatMap(({ modelTypes }) => modelTypes).sort();

/** @throws HoneError `OPERATOR_UNSUPPORTED` that names the families which Hone knows */
export function familyOf(modelType: string, where: string): Family {
  const family = families.find(({ modelTypes }) => modelTypes.includes(modelType));
  if (family !== undefined) return family;
  throw new HoneError(
    'OPERATOR_UNSUPPORTED',
    `${where}: Hone does not know how a ${modelType} computes; it converts checkpoints of ${convertedModelTypes.join(', ')}; ` +
      'serve an ONNX export of the model, or one of these',
  );
}
