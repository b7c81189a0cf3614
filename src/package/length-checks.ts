/**
 * The lengths that attention is given. Hone fills attention in without them, with the lengths of its own cache: that is
 * the same only if the file computes them from the attention mask in the usual way, so they are computed once.
 */

import { Tensor } from 'onnxruntime-node';
import { HoneError } from '../errors.js';
import { createSession, type Graph, zeros } from '../onnx/index.js';
import type { AttentionSite } from './lowering.js';
import { refuseNode } from './operators/form.js';

/** Rows, cached tokens and new tokens of the question. */
const asked = { rows: 2, past: 4, fresh: 3 } as const;
const total = asked.past + asked.fresh;

/** Inputs of GroupQueryAttention by place. */
const place = { lastKey: 5, total: 6 } as const;

/**
 * Checks inputs 5 and 6 of every attention operator: the place of a row's last key, and the number of columns.
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
    const usual = last.length === asked.rows && last.every((one) => one === total - 1) && columns.join() === `${total}`;
    if (usual) continue;
    throw refuseNode(
      node,
      `for ${asked.rows} rows of ${total} tokens it is told that the last key is ${last.join(', ')} and that there are ` +
        `${columns.join(', ')} columns: it does not see all tokens, and Hone would let it`,
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
  if (name === 'attention_mask') return integers(new Array<number>(asked.rows * total).fill(1), [asked.rows, total]);
  if (name === 'input_ids') return zeros('int64', [asked.rows, asked.fresh]);
  if (name === 'position_ids') {
    const positions = Array.from({ length: asked.rows * asked.fresh }, (_, i) => asked.past + (i % asked.fresh));
    return integers(positions, [asked.rows, asked.fresh]);
  }
  const { kvHeads, headSize } = sites[0] as AttentionSite;
  return zeros('float32', [asked.rows, kvHeads, asked.past, headSize]);
}

const integers = (values: readonly number[], dims: readonly number[]): Tensor =>
  new Tensor('int64', BigInt64Array.from(values, BigInt), dims);
