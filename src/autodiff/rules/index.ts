/** Every operator that the reverse pass knows: ai.onnx by name, other domains as `domain.Name`. */

import { HoneError } from '../../errors.js';
import type { Node } from '../../onnx/index.js';
import type { GradientRule, RuleTable } from '../rule.js';
import { arithmeticRules } from './arithmetic.js';
import { decoderRules } from './decoder.js';
import { indexingRules } from './indexing.js';
import { productRules } from './products.js';
import { reductionRules } from './reductions.js';
import { shapeRules } from './shape.js';

export const gradientRules: RuleTable = {
  ...arithmeticRules,
  ...productRules,
  ...reductionRules,
  ...shapeRules,
  ...indexingRules,
  ...decoderRules,
};

/** @throws HoneError `OPERATOR_NOT_DIFFERENTIABLE` */
export function findRule(node: Node): GradientRule {
  const key = node.domain === '' ? node.op : `${node.domain}.${node.op}`;
  const rule = Object.hasOwn(gradientRules, key) ? gradientRules[key] : undefined;
  if (!rule)
    throw new HoneError('OPERATOR_NOT_DIFFERENTIABLE', `operator ${key} (node ${node.name}) has no gradient rule`);
  return rule;
}
