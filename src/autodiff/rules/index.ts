/** The rules of every operator that the reverse pass knows: ai.onnx by name, other domains as `domain.Name`. */

import { HoneError } from '../../errors.js';
import type { Graph, Node } from '../../onnx/index.js';
import type { GradientRule, RuleTable } from '../rule.js';
import { activationRules } from './activations.js';
import { arithmeticRules } from './arithmetic.js';
import { decoderRules } from './decoder.js';
import { indexingRules } from './indexing.js';
import { productRules } from './products.js';
import { reductionRules } from './reductions.js';
import { shapeRules } from './shape.js';

export const gradientRules: RuleTable = {
  ...arithmeticRules,
  ...activationRules,
  ...productRules,
  ...reductionRules,
  ...shapeRules,
  ...indexingRules,
  ...decoderRules,
};

/**
 * The rule of a node.
 * @throws HoneError `OPERATOR_NOT_DIFFERENTIABLE` if the operator has no rule, or if the rule does not cover this node
 */
export function findRule(node: Node, graph: Graph): GradientRule {
  const key = node.domain === '' ? node.op : `${node.domain}.${node.op}`;
  const rule = Object.hasOwn(gradientRules, key) ? gradientRules[key] : undefined;
  if (rule === undefined) throw notDifferentiable(node, 'the operator has no gradient rule');
  if (rule.kind === 'no-gradient') return rule;
  const { attributes = [], refuses } = rule.limits;
  const unknown = Object.keys(node.attributes).find((name) => !attributes.includes(name));
  const reason = unknown === undefined ? refuses?.(node, graph) : `its attribute ${unknown} has no gradient rule`;
  if (reason !== undefined) throw notDifferentiable(node, reason);
  return rule;
}

export function notDifferentiable({ op, domain, name }: Node, reason: string): HoneError {
  const operator = domain === '' ? op : `${domain}.${op}`;
  return new HoneError(
    'OPERATOR_NOT_DIFFERENTIABLE',
    `${operator} ${name}: ${reason}, so nothing can be learned through it; serve the model with --learner off`,
  );
}
