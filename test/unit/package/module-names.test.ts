import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it, test } from 'vitest';
import { encodeModel, Graph, type Node, readModel } from '../../../src/onnx/index.js';
import { ModelMessage } from '../../../src/onnx/schema.js';
import { isBlockModule, isModuleWeight, moduleOf, moduleOfNode } from '../../../src/package/module-names.js';
import { temporaryFolder } from '../../support/folders.js';

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

describe('the module that torch.onnx notes for a node', () => {
  const scopes = [
    '',
    'm',
    'm.model',
    'm.model.layers.0',
    'm.model.layers.0.mlp',
    'm.model.layers.0.mlp.up_proj',
    'linear',
  ];
  const classes = [
    '__main__.Wrapped',
    'transformers.models.llama.modeling_llama.LlamaForCausalLM',
    'x',
    'x',
    'x',
    'x',
    'x',
  ];
  const python = (list: readonly string[]): string => `[${list.map((item) => `'${item}'`).join(', ')}]`;

  /** Returns a node of a file with these notes, as it is read. */
  async function noted(names: readonly string[], classNames: readonly string[]): Promise<Node> {
    const graph = new Graph();
    graph.inputs.set('x', { type: 'float32', dims: [1] });
    graph.add('Identity', ['x'], { outputs: ['y'], name: 'node_linear_5' });
    graph.outputs.set('y', { type: 'float32', dims: [1] });
    const model = ModelMessage.toObject(ModelMessage.decode(encodeModel(graph))) as {
      graph: { node: { metadataProps?: { key: string; value: string }[] }[] };
    };
    (model.graph.node[0] as (typeof model.graph.node)[number]).metadataProps = [
      { key: 'pkg.torch.onnx.name_scopes', value: python(names) },
      { key: 'pkg.torch.onnx.class_hierarchy', value: python(classNames) },
    ];
    const path = join(temporaryFolder(), 'model.onnx');
    await writeFile(path, ModelMessage.encode(ModelMessage.fromObject(model)).finish());
    return (await readModel(path)).nodes[0] as Node;
  }

  it('is its path in the decoder, without the modules that the program has put around that', async () => {
    expect(moduleOf(await noted(scopes, classes))).toBe('model.layers.0.mlp.up_proj');
    const bare = scopes.slice(1).map((scope) => scope.replace(/^m\.?/, ''));
    expect(moduleOf(await noted(bare, classes.slice(1)))).toBe('model.layers.0.mlp.up_proj');
  });

  it('is not known if no class of transformers is around it', async () => {
    expect(
      moduleOf(
        await noted(
          scopes,
          classes.map(() => 'mine.Decoder'),
        ),
      ),
    ).toBeUndefined();
  });

  it('counts only inside the blocks', async () => {
    expect(moduleOf(await noted(['', 'lm_head', 'linear'], classes.slice(1, 4)))).toBeUndefined();
  });
});
