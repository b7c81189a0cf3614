/** Changes one part of a decoder's graph at random: Hone must compute the same as onnxruntime, or refuse the file. */

import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { beforeAll, expect, test } from 'vitest';
import { HoneError } from '../../src/errors.js';
import { decodeModel } from '../../src/onnx/codec.js';
import { type Attribute, encodeModel, type Graph, type Node } from '../../src/onnx/index.js';
import { findLinears, loadPackage, type Package, readDecoder } from '../../src/package/index.js';
import { zeroAdapter } from '../../src/versions/index.js';
import { decodeLogits, ownLogits } from '../support/file-logits.js';
import { temporaryFolder } from '../support/folders.js';
import { largestDifference, randomTokens } from '../support/policy/policy.js';
import { tinyPackage } from '../support/server.js';

const tokens = randomTokens(9, 3);
let directory: string;
let original: Buffer;
/** Number of trials whose package loaded, and of those that were compared. */
const seen = { loaded: 0, compared: 0 };

beforeAll(async () => {
  directory = join(temporaryFolder(), 'tiny');
  await cp(tinyPackage, directory, { recursive: true });
  original = await readFile(join(tinyPackage, 'onnx/model.onnx'));
});

const attributes = [
  ...['scale', 'softcap', 'epsilon', 'alpha', 'qk_norm_epsilon'],
  ...['axis', 'stash_type', 'keepdims', 'to', 'start', 'end', 'of_tomorrow'],
  ...['local_window_size', 'smooth_softmax', 'causal', 'do_rotary', 'rotary_interleaved', 'qk_output', 'num_heads'],
  ...['interleaved', 'rotary_embedding_dim', 'is_packed_batching', 'sliding_window_cache', 'kv_num_heads'],
];
/** The real attributes of attention, each with its own type, because most models differ in these. */
const ofAttention: readonly (readonly [string, Attribute])[] = [
  ...[-1, 0, 1, 2].flatMap((i) =>
    ['smooth_softmax', 'local_window_size', 'causal', 'do_rotary'].map((name) => [name, { i }] as const),
  ),
  ...[0, 0.5, 2].flatMap((f) => ['softcap', 'scale'].map((name) => [name, { f }] as const)),
];
const value: fc.Arbitrary<Attribute> = fc.oneof(
  fc.constantFrom(-2, -1, 0, 1, 2, 3, 4, 16).map((i) => ({ i })),
  fc.constantFrom(0, 0.5, 1, 2, 1e-3).map((f) => ({ f })),
);
const between = [
  ...['Neg', 'Abs', 'Relu', 'Identity', 'Tanh', 'Gelu', 'Softplus', 'Round', 'Cos', 'Erf', 'HardSwish', 'CumSum'],
  ...['Softmax', 'ReduceMax', 'ReduceMean', 'LpNormalization', 'Trilu', 'Flatten'],
];
/** Maps a number from 0 to 1 to an element of a list. */
const pick = <T>(list: readonly T[], share: number): T => list[Math.floor(share * list.length)] as T;
const share = fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true });

const change = fc.oneof(
  fc.record({ kind: fc.constant('attribute' as const), name: fc.constantFrom(...attributes), value }),
  fc.record({ kind: fc.constant('attention' as const), set: fc.constantFrom(...ofAttention) }),
  fc.record({ kind: fc.constant('input' as const), place: fc.nat(16), source: share }),
  fc.record({
    kind: fc.constant('operator' as const),
    op: fc.constantFrom(...between),
    axis: fc.integer({ min: -2, max: 2 }),
  }),
);
type Change = typeof change extends fc.Arbitrary<infer T> ? T : never;

function apply(graph: Graph, at: number, what: Change): void {
  const index = Math.floor(at * graph.nodes.length);
  const node = graph.nodes[index] as Node;
  if (what.kind === 'attribute') {
    graph.replaceNode(node, [{ ...node, attributes: { ...node.attributes, [what.name]: what.value } }]);
  } else if (what.kind === 'attention') {
    const attention = pick(
      graph.nodes.filter(({ op }) => op === 'GroupQueryAttention'),
      at,
    );
    const [name, set] = what.set;
    graph.replaceNode(attention, [{ ...attention, attributes: { ...attention.attributes, [name]: set } }]);
  } else if (what.kind === 'input') {
    const before = graph.nodes.slice(0, index).flatMap(({ outputs }) => outputs);
    const sources = ['', ...graph.inputs.keys(), ...graph.initializers.keys(), ...before.slice(-6), ...node.inputs];
    const padded = [...node.inputs, ...new Array<string>(Math.max(0, what.place - node.inputs.length)).fill('')];
    graph.replaceNode(node, [{ ...node, inputs: padded.toSpliced(what.place, 1, pick(sources, what.source)) }]);
  } else {
    const [output = ''] = node.outputs;
    const middle = graph.freshName('middle');
    graph.replaceNode(node, [{ ...node, outputs: [middle, ...node.outputs.slice(1)] }]);
    const second: Record<string, string> = { CumSum: graph.int64(1), ReduceMax: graph.int64([what.axis]) };
    second.ReduceMean = second.ReduceMax as string;
    const inputs = [middle, second[what.op] ?? ''].filter((name) => name !== '');
    const along = /^(Softmax|LpNormalization|Flatten)$/.test(what.op);
    graph.add(what.op, inputs, { outputs: [output], attributes: along ? { axis: { i: what.axis } } : {} });
  }
  graph.prune();
}

async function load(): Promise<Package | undefined> {
  try {
    return await loadPackage(directory);
  } catch (error) {
    expect(error).toBeInstanceOf(HoneError);
    expect(['PACKAGE_INVALID', 'MODEL_INVALID', 'OPERATOR_UNSUPPORTED']).toContain((error as HoneError).code);
    return undefined;
  }
}

test('a decoder with one change in its graph is refused, or serves what its file computes', async () => {
  await fc.assert(
    fc.asyncProperty(share, change, async (at, what) => {
      const graph = decodeModel(original);
      try {
        apply(graph, at, what);
      } catch {
        // The change made a cycle, which no file can hold.
        return;
      }
      await writeFile(join(directory, 'onnx/model.onnx'), encodeModel(graph));
      const pkg = await load();
      if (pkg === undefined) return;
      seen.loaded += 1;
      const own = await ownLogits(pkg, tokens).catch(() => undefined);
      // There is no reference if onnxruntime cannot run the file or its results are not finite.
      if (own === undefined || !own.every((logits) => logits.every(Number.isFinite))) return;
      const zero = zeroAdapter(findLinears(await readDecoder(pkg.modelPath)), 2, 1);
      const decoded = await decodeLogits(pkg, tokens, zero);
      for (const [i, logits] of decoded.entries()) {
        expect(largestDifference(logits, own[i + 4] as Float32Array)).toBeLessThan(1e-3);
      }
      seen.compared += 1;
    }),
    { numRuns: 200 },
  );
  // Some changes are harmless. If no package had loaded, the test would have compared nothing.
  expect(seen.compared).toBeGreaterThan(5);
  expect(seen.loaded).toBeGreaterThanOrEqual(seen.compared);
});
