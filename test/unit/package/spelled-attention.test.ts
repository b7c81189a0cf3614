/** Attention that a file spells out: what is measured of it, and what is refused because Hone computes no such attention. */

import { cp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { encodeModel, type Graph, int64Tensor, type Node, readModel } from '../../../src/onnx/index.js';
import { fuseAttention } from '../../../src/package/attention/fuse-attention.js';
import { findAttention, loadPackage } from '../../../src/package/index.js';
import { normalizeDecoder } from '../../../src/package/normalize.js';
import { temporaryFolder } from '../../support/folders.js';
import { type Spelling, spellOut, useOperator } from '../../support/spelled-attention.js';
import { tinyDirectory } from '../../support/tiny.js';

const tiny = (): Promise<Graph> => readModel(join(tinyDirectory, 'onnx/model.onnx'));

async function spelled(spelling: Spelling): Promise<Graph> {
  const graph = await tiny();
  spellOut(spelling)(graph);
  graph.prune();
  return graph;
}

/** Reads from a table of 64 tokens and keys which keys are seen: those of a window of 5. */
const fromTable: Spelling['seen'] = (graph, { keys, counted }) => {
  const size = 64;
  const seen = Uint8Array.from({ length: size * size }, (_, i) => {
    const [token, key] = [Math.floor(i / size), i % size];
    return key <= token && token - key < 5 ? 1 : 0;
  });
  graph.initializers.set('seen', { type: 'bool', dims: [size, size], data: seen });
  return graph.add('Gather', [graph.add('Gather', ['seen', counted]), keys], { attributes: { axis: { i: 1 } } });
};

describe('attention that is spelled out', () => {
  test.each<[string, Spelling, number | null, number | null]>([
    ['a mask in a table that ends', { mask: 'added', factor: 'scores', seen: fromTable }, 5, null],
    ['a mask that is added', { mask: 'added', factor: 'scores' }, null, null],
    ['a mask that chooses', { mask: 'chosen', factor: 'roots' }, null, null],
    ['a window', { mask: 'chosen', factor: 'roots', window: 3 }, 3, null],
    ['a window of the own key only', { mask: 'added', factor: 'roots', window: 1 }, 1, null],
    ['a window longer than a probe', { mask: 'added', factor: 'roots', window: 4096 }, 4096, null],
    ['bounded scores', { mask: 'added', factor: 'scores', softcap: 50 }, null, 50],
  ])('with %s is measured', async (_, spelling, window, softcap) => {
    const graph = normalizeDecoder(await fuseAttention(await spelled(spelling)));
    const fused = findAttention(await tiny());
    for (const [i, site] of findAttention(graph).entries()) {
      const { heads, kvHeads, headSize } = fused[i] as (typeof fused)[number];
      expect(site).toMatchObject({ layer: i, heads, kvHeads, headSize, window });
      expect(site.scale).toBeCloseTo((fused[i] as (typeof fused)[number]).scale, 6);
      if (softcap === null) expect(site.softcap).toBeNull();
      else expect(site.softcap).toBeCloseTo(softcap, 4);
    }
    expect(graph.nodes.filter(({ op }) => op === 'Softmax')).toHaveLength(0);
  });
});

const plain = { mask: 'added', factor: 'scores' } as const;

/** Sees the first keys only, fewer than there are tokens in long rows: a bound that no short probe reaches. */
const firstKeys: Spelling['seen'] = (graph, { keys, queries }) => {
  const total = graph.add('Gather', [graph.add('Shape', ['attention_mask']), graph.int64(1)]);
  const bound = graph.add('Min', [total, graph.int64(40)]);
  return graph.add('And', [graph.add('LessOrEqual', [keys, queries]), graph.add('Less', [keys, bound])]);
};

/** Adds a value that grows with the distance of key and query, as ALiBi does. */
const slope: Spelling['change'] = (graph, scores, { keys, queries }) => {
  const distance = graph.add('Cast', [graph.add('Sub', [keys, queries])], { attributes: { to: { i: 1 } } });
  return graph.add('Add', [scores, graph.add('Mul', [distance, graph.float(0.25)])]);
};

const everything: Spelling['seen'] = (graph, { keys, queries }) =>
  graph.add('LessOrEqual', [keys, graph.add('Add', [queries, graph.int64(2)])]);

const inChunks: Spelling['seen'] = (graph, { keys, queries }) => {
  const chunk = (value: string): string => graph.add('Div', [value, graph.int64(4)]);
  return graph.add('And', [
    graph.add('LessOrEqual', [keys, queries]),
    graph.add('Equal', [chunk(keys), chunk(queries)]),
  ]);
};

const squared: Spelling['change'] = (graph, scores) => graph.add('Mul', [scores, scores]);

describe('attention that computes something else', () => {
  let directory: string;
  beforeAll(async () => {
    directory = join(temporaryFolder(), 'tiny');
    await cp(tinyDirectory, directory, { recursive: true });
  });

  /** Replaces the value that a node reads. */
  const reads = (
    graph: Graph,
    fits: (node: Node) => boolean,
    index: number,
    change: (value: string) => string,
  ): void => {
    for (const node of graph.nodes.filter(fits)) {
      const inputs = node.inputs.with(index, change(node.inputs[index] as string));
      graph.replaceNode(node, [{ ...node, inputs }]);
    }
  };
  const isSoftmax = ({ op }: Node): boolean => op === 'Softmax';
  const isMixing = (graph: Graph) => {
    const softmaxes = new Set(graph.nodes.filter(isSoftmax).map(({ outputs }) => outputs[0]));
    return ({ op, inputs }: Node): boolean => op === 'MatMul' && softmaxes.has(inputs[0]);
  };

  test.each<[string, Spelling, (graph: Graph) => void, RegExp]>([
    ['adds distances to the scores', { ...plain, change: slope }, () => undefined, /its mask adds/],
    ['sees later tokens', { ...plain, seen: everything }, () => undefined, /its mask adds/],
    ['sees the first keys only', { ...plain, seen: firstKeys }, () => undefined, /its mask adds/],
    ['sees the tokens of a chunk', { ...plain, seen: inChunks }, () => undefined, /its mask adds/],
    ['squares the scores', { ...plain, change: squared }, () => undefined, /become scores of/],
    [
      'mixes twice the values',
      plain,
      (graph) => reads(graph, isMixing(graph), 1, (value) => graph.add('Mul', [value, graph.float(2)])),
      /differs by/,
    ],
    [
      'has probabilities of another operator',
      plain,
      (graph) => reads(graph, isMixing(graph), 0, (value) => graph.add('Sigmoid', [value])),
      /do not come from a Softmax/,
    ],
  ])('%s: refused by the name of its softmax', async (_, spelling, edit, words) => {
    const graph = await spelled(spelling);
    edit(graph);
    graph.prune();
    await writeFile(join(directory, 'onnx/model.onnx'), encodeModel(graph));
    const error = await loadPackage(directory).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ name: 'HoneError', code: 'OPERATOR_UNSUPPORTED' });
    expect((error as Error).message).toMatch(words);
    expect((error as Error).message).toContain(join(directory, 'onnx/model.onnx'));
  });

  test.each<[string, (graph: Graph) => void, RegExp]>([
    [
      'a mask of its own',
      (graph) => editOperators(graph, { is_causal: { i: 1 } }),
      /is_causal \(1\) means a causal mask/,
    ],
    ['an output of the scores', (graph) => editOperators(graph, { qk_matmul_output_mode: { i: 1 } }), /output_mode/],
    ['a cache of a fixed size', (graph) => editOperators(graph, {}, ['lengths']), /input 6 \(lengths\) means a cache/],
  ])('the Attention operator with %s is refused by its name', async (_, edit, words) => {
    const graph = await tiny();
    useOperator('appends')(graph);
    edit(graph);
    graph.prune();
    await expect(fuseAttention(graph)).rejects.toMatchObject({
      code: 'OPERATOR_UNSUPPORTED',
      message: expect.stringMatching(words),
    });
  });
});

function editOperators(graph: Graph, attributes: Node['attributes'], more: readonly string[] = []): void {
  graph.initializers.set('lengths', int64Tensor([4]));
  for (const node of graph.nodes.filter(({ op }) => op === 'Attention')) {
    const edited = { inputs: [...node.inputs, ...more], attributes: { ...node.attributes, ...attributes } };
    graph.replaceNode(node, [{ ...node, ...edited }]);
  }
}
