/** Checkpoints of all families, converted and compared with PyTorch's logits (test/oracles/make_checkpoints.py). */

import { join } from 'node:path';
import { Tensor } from 'onnxruntime-node';
import { beforeAll, describe, expect, it } from 'vitest';
import { convertCheckpoint } from '../../../src/conversion/index.js';
import { checkTrainable } from '../../../src/learner/engine/check-trainable.js';
import { createSession, readModel } from '../../../src/onnx/index.js';
import { readDecoder } from '../../../src/package/index.js';
import { findTrainableLinears } from '../../../src/package/trainable-linears.js';
import { createDecoder } from '../../../src/policy/graph/decoder.js';
import { KvArena } from '../../../src/policy/kv/kv-arena.js';
import { KvCache } from '../../../src/policy/kv/kv-cache.js';
import { zeroAdapter } from '../../../src/versions/index.js';
import { type CheckpointCase, checkpoints, writeCheckpoint } from '../../oracles/checkpoints.js';
import { temporaryFolder } from '../../support/folders.js';

const { ids, cases } = checkpoints;

/** Cases whose attention, head or gradients Hone's variants compute. */
const served = /^(llama|smollm3|qwen3|olmo2|phi3-longrope)/;

describe.each(Object.entries(cases))('a checkpoint of %s', (name, fixture) => {
  const folder = temporaryFolder();
  const modelPath = join(folder, 'package', 'onnx', 'model.onnx');
  let contextLength: number;

  beforeAll(async () => {
    await writeCheckpoint(join(folder, 'checkpoint'), fixture);
    const converted = await convertCheckpoint({
      directory: join(folder, 'checkpoint'),
      target: join(folder, 'package'),
      bits: 32,
    });
    contextLength = converted.contextLength;
  });

  it('has PyTorch’s logits in onnxruntime', async () => {
    expectLogits(await ownLogits(modelPath, ids), fixture);
  });

  it.runIf(served.test(name))(
    'has PyTorch’s logits in the decode variant, by a prompt and then token by token',
    async () => {
      expectLogits(await decodeLogits(modelPath, contextLength, ids), fixture, 5);
    },
  );

  it.runIf(served.test(name))('can be learned from', async () => {
    const graph = await readDecoder(modelPath);
    await checkTrainable(graph, modelPath, { engine: 'onnx' });
    expect(findTrainableLinears(graph).map(({ module }) => `${module}.weight`)).toEqual(
      expect.arrayContaining(
        Object.entries(fixture.tensors)
          .filter(([tensor, dims]) => dims.length === 2 && /\.\d+\./.test(tensor))
          .map(([tensor]) => tensor),
      ),
    );
  });
});

function expectLogits(all: readonly (Float32Array | undefined)[], { logits }: CheckpointCase, from = 0): void {
  let worst = 0;
  for (const [position, expected] of Object.entries(logits)) {
    if (Number(position) < from) continue;
    const actual = all[Number(position)] as Float32Array;
    for (const [i, value] of expected.entries()) worst = Math.max(worst, Math.abs(value - (actual[i] as number)));
  }
  expect(worst).toBeLessThan(1e-4);
}

async function ownLogits(path: string, tokens: readonly number[]): Promise<Float32Array[]> {
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

/** Logits by position; those within the prompt, of all but its last token, are missing. */
async function decodeLogits(modelPath: string, contextLength: number, tokens: readonly number[]) {
  const decoder = await createDecoder({ modelPath, contextLength, threads: 1, spin: false });
  try {
    const linears = findTrainableLinears(await readDecoder(modelPath));
    const feeds = decoder.feedsOf(zeroAdapter(linears, 2, 1));
    const cache = new KvCache(new KvArena(decoder.shape, 64));
    const all: (Float32Array | undefined)[] = new Array(4).fill(undefined);
    const { prefix, logits } = await decoder.prefill(tokens.slice(0, 5), feeds);
    all.push(logits.data.slice());
    cache.append(prefix);
    for (const token of tokens.slice(5)) all.push((await decoder.step(cache, [token], feeds)).data.slice());
    return all;
  } finally {
    await decoder.close();
  }
}
