/**
 * Checks the lengths that the file feeds to attention. Hone replaces attention by its own form, which uses the lengths
 * of Hone's cache. Both give the same result only if the file computes its lengths from the attention mask in the usual
 * way, so this module computes them once and compares.
 */

import { Tensor } from 'onnxruntime-node';
import { HoneError } from '../errors.js';
import { createSession, type Graph, zeros } from '../onnx/index.js';
import type { AttentionSite } from './lowering.js';
import { refuseNode } from './operators/form.js';

/** Sizes of the sample step: rows, cached tokens per row and new tokens per row. */
const sample = { rows: 2, past: 4, fresh: 3 } as const;
const total = sample.past + sample.fresh;

/** Indices of inputs of GroupQueryAttention. */
const place = { lastKey: 5, total: 6 } as const;

/**
 * Checks inputs 5 and 6 of every attention operator: the index of each row's last key, and the number of columns.
 * @throws HoneError `OPERATOR_UNSUPPORTED`
 */
export async function checkLengths(graph: Graph, sites: readonly AttentionSite[]): Promise<void> {
  const names = new Set(sites.flatMap(({ node }) => [node.inputs[place.lastKey], node.inputs[place.total]]));
  const given = await compute(graph, [...names] as string[], sites).catch((cause: unknown) => {
    const { node } = sites[0] as AttentionSite;
    const problem = `its lengths (inputs 5 and 6) cannot be computed: ${HoneError.from(cause).message}`;
    throw refuseNode(node, problem, 'export the model again');
  });
  for (const { node } of sites) {
    const last = given.get(node.inputs[place.lastKey] ?? '') ?? [];
    const columns = given.get(node.inputs[place.total] ?? '') ?? [];
    const usual =
      last.length === sample.rows && last.every((one) => one === total - 1) && columns.join() === `${total}`;
    if (usual) continue;
    throw refuseNode(
      node,
      `for ${sample.rows} rows of ${total} tokens its inputs 5 and 6 mean that the last key is ${last.join(', ')} and that ` +
        `there are ${columns.join(', ')} columns: it does not see all tokens, but Hone's attention would`,
      'export the model with a plain causal mask',
    );
  }
}

async function compute(
  graph: Graph,
  names: readonly string[],
  sites: readonly AttentionSite[],
): Promise<Map<string, number[]>> {
  const lengths = graph.clone();
  lengths.outputs.clear();
  for (const name of names) lengths.outputs.set(name, null);
  lengths.prune();
  const read = new Set(lengths.nodes.flatMap(({ inputs }) => inputs));
  for (const name of lengths.inputs.keys()) if (!read.has(name)) lengths.inputs.delete(name);
  const session = await createSession(lengths, { threads: 1, prepack: false });
  try {
    const feeds = [...lengths.inputs.keys()].map((name) => [name, feedOf(name, sites)] as const);
    const outputs = (await session.run(Object.fromEntries(feeds))) as Record<string, Tensor>;
    return new Map(names.map((name) => [name, Array.from(outputs[name]?.data as Iterable<number | bigint>, Number)]));
  } finally {
    await session.release();
  }
}

function feedOf(name: string, sites: readonly AttentionSite[]): Tensor {
  if (name === 'attention_mask') return integers(new Array<number>(sample.rows * total).fill(1), [sample.rows, total]);
  if (name === 'input_ids') return zeros('int64', [sample.rows, sample.fresh]);
  if (name === 'position_ids') {
    const positions = Array.from({ length: sample.rows * sample.fresh }, (_, i) => sample.past + (i % sample.fresh));
    return integers(positions, [sample.rows, sample.fresh]);
  }
  const { kvHeads, headSize } = sites[0] as AttentionSite;
  return zeros('float32', [sample.rows, kvHeads, sample.past, headSize]);
}

const integers = (values: readonly number[], dims: readonly number[]): Tensor =>
  new Tensor('int64', BigInt64Array.from(values, BigInt), dims);
