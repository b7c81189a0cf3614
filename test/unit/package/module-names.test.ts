import { describe, expect, it, test } from 'vitest';
import { isBlockModule, isModuleWeight, moduleOfNode } from '../../../src/package/module-names.js';

describe('the module of a node', () => {
  test.each([
    ['/model/layers.0/attn/q_proj/MatMul', 'model.layers.0.self_attn.q_proj'],
    ['/model/layers.11/mlp/up_proj/MatMul_Q4', 'model.layers.11.mlp.up_proj'],
    ['/transformer/h.0/attn/c_attn/MatMul', 'transformer.h.0.attn.c_attn'],
    ['/h.3/mlp/c_fc/MatMul', 'h.3.mlp.c_fc'],
    ['/gpt_neox/layers.2/attention/dense/MatMul', 'gpt_neox.layers.2.attention.dense'],
  ])('%s is %s', (node, module) => {
    expect(moduleOfNode(node)).toBe(module);
  });

  test.each(['/lm_head/MatMul', '/model/branch.0/proj/MatMul', '/transformer/h/proj/MatMul', 'node_linear_7'])(
    '%s is outside the blocks',
    (node) => {
      expect(moduleOfNode(node)).toBeUndefined();
    },
  );
});

it('takes a weight for a module’s own if the path leads into a block', () => {
  expect(isModuleWeight('transformer.h.0.mlp.c_fc.weight')).toBe(true);
  expect(isModuleWeight('model.layers.0.mlp.up_proj.weight')).toBe(true);
  expect(isModuleWeight('model.layers.0.mlp.up_proj.MatMul.weight')).toBe(false);
  expect(isModuleWeight('lm_head.weight')).toBe(false);
  expect(isBlockModule('transformer.wte')).toBe(false);
  expect(isBlockModule('model.branch.0.proj')).toBe(false);
});
