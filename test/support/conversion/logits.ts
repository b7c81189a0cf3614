/** Logits of a converted checkpoint's model file, without a tokenizer. */

import { Tensor } from 'onnxruntime-node';
import { createSession, readModel } from '../../../src/onnx/index.js';
import { findLinears, readDecoder } from '../../../src/package/index.js';
import { createDecoder } from '../../../src/policy/graph/decoder.js';
import { KvArena } from '../../../src/policy/kv/kv-arena.js';
import { KvCache } from '../../../src/policy/kv/kv-cache.js';
import { type Adapter, zeroAdapter } from '../../../src/versions/index.js';

/** Returns the logits after each token, by onnxruntime on the file as it is. */
export async function ownLogits(path: string, tokens: readonly number[]): Promise<Float32Array[]> {
  const graph = await readModel(path);
  const session = await createSession(graph, { threads: 1 });
  const ints = (list: readonly number[]) => new Tensor('int64', BigInt64Array.from(list.map(BigInt)), [1, list.length]);
  const all: Record<string, Tensor> = {
    input_ids: ints(tokens),
    attention_mask: ints(tokens.map(() => 1)),
    position_ids: ints([...tokens.keys()]),
  };
  for (const [name, { dims }] of graph.inputs) {
    if (name in all) continue;
    all[name] = new Tensor('float32', new Float32Array(0), [1, dims[1] as number, 0, dims[3] as number]);
  }
  try {
    const { data, dims } = (await session.run(all)).logits as Tensor;
    const width = dims[2] as number;
    return tokens.map((_, i) => (data as Float32Array).slice(i * width, (i + 1) * width));
  } finally {
    await session.release();
  }
}

/**
 * Returns the logits after each token, by the decode variant. Those within the prompt of `promptLength` tokens, of all but
 * its last token, are missing. Without an adapter they are the base model's.
 */
export async function decodeLogits(
  modelPath: string,
  contextLength: number,
  tokens: readonly number[],
  promptLength = 5,
  adapter?: Adapter,
) {
  const decoder = await createDecoder({ modelPath, contextLength, threads: 1, spin: false });
  try {
    const linears = findLinears(await readDecoder(modelPath));
    const feeds = decoder.feedsOf(adapter ?? zeroAdapter(linears, 2, 1));
    const cache = new KvCache(new KvArena(decoder.shape, 128));
    const all: (Float32Array | undefined)[] = new Array(promptLength - 1).fill(undefined);
    const { prefix, logits } = await decoder.prefill(tokens.slice(0, promptLength), feeds);
    all.push(logits.data.slice());
    cache.append(prefix);
    for (const token of tokens.slice(promptLength)) all.push((await decoder.step(cache, [token], feeds)).data.slice());
    return all;
  } finally {
    await decoder.close();
  }
}
