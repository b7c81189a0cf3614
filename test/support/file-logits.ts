/** Logits of a package, computed by onnxruntime from the file as it is, and by Hone's decode variant. */

import { Tensor } from 'onnxruntime-node';
import { createSession, readModel } from '../../src/onnx/index.js';
import type { Package } from '../../src/package/index.js';
import { createDecoder } from '../../src/policy/graph/decoder.js';
import { KvArena } from '../../src/policy/kv/kv-arena.js';
import { KvCache } from '../../src/policy/kv/kv-cache.js';
import type { Adapter } from '../../src/versions/index.js';

/** Returns the logits after each token, computed from the file as it is. */
export async function ownLogits({ modelPath, config }: Package, ids: readonly number[]): Promise<Float32Array[]> {
  const graph = await readModel(modelPath);
  const session = await createSession(graph, { threads: 1 });
  const ints = (list: readonly number[]) => new Tensor('int64', BigInt64Array.from(list.map(BigInt)), [1, list.length]);
  const empty = new Tensor('float32', new Float32Array(0), [1, config.kvHeads, 0, config.headSize]);
  const all: Record<string, Tensor> = {
    input_ids: ints(ids),
    attention_mask: ints(ids.map(() => 1)),
    position_ids: ints([...ids.keys()]),
  };
  const feeds = Object.fromEntries([...graph.inputs.keys()].map((name) => [name, all[name] ?? empty]));
  try {
    const data = ((await session.run(feeds)).logits as Tensor).data as Float32Array;
    const { vocabularySize } = config;
    return ids.map((_, i) => data.slice(i * vocabularySize, (i + 1) * vocabularySize));
  } finally {
    await session.release();
  }
}

/** Returns the logits of the decode variant after each token, from a prefill of five tokens on. */
export async function decodeLogits(pkg: Package, tokens: readonly number[], adapter: Adapter): Promise<Float32Array[]> {
  const { modelPath, config } = pkg;
  const decoder = await createDecoder({
    modelPath,
    contextLength: config.contextLength,
    threads: 1,
    spin: false,
  });
  try {
    const feeds = decoder.feedsOf(adapter);
    const cache = new KvCache(new KvArena(decoder.shape, config.contextLength));
    const { prefix, logits } = await decoder.prefill(tokens.slice(0, 5), feeds);
    const all = [logits.data.slice()];
    cache.append(prefix);
    for (const token of tokens.slice(5)) all.push((await decoder.step(cache, [token], feeds)).data.slice());
    return all;
  } finally {
    await decoder.close();
  }
}
