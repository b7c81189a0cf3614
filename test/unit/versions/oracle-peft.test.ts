/** An adapter computes the same logits in Hone and in Hugging Face PEFT, whichever of the two wrote it (test/oracles). */

import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { createDecoder, type Decoder } from '../../../src/policy/graph/decoder.js';
import { openVersionLog, type VersionLog, zeroAdapter } from '../../../src/versions/index.js';
import {
  exportedMeta,
  largestDifference,
  readOracleFixture,
  readPeftFixture,
  tinyPackage,
} from '../../oracles/fixture.js';
import { temporaryFolder } from '../../support/folders.js';

const { sequences, adapter: original } = readOracleFixture();
const vocabulary = 260;

let decoder: Decoder;
beforeAll(async () => {
  const modelPath = join(tinyPackage, 'onnx/model.onnx');
  decoder = await createDecoder({ modelPath, contextLength: 128, threads: 1, spin: false });
});
afterAll(() => decoder.close());

async function openLog(): Promise<VersionLog> {
  const log = await openVersionLog({
    directory: temporaryFolder(),
    packageDigest: exportedMeta.packageDigest,
    zeroAdapter: zeroAdapter(decoder.targets, 8, 2),
  });
  onTestFinished(() => log.close());
  return log;
}

describe('an adapter', () => {
  it.each(['exported', 'named', 'bfloat16'] as const)(
    'that PEFT has loaded or made (%s) is imported and gives the logits that PEFT gives with it',
    async (name) => {
      const { files, logits } = readPeftFixture(name);
      const log = await openLog();
      const { number } = await log.import(files);
      const adapter = await log.readAdapter(number);
      const feeds = decoder.feedsOf(adapter);
      const base = decoder.feedsOf(zeroAdapter(decoder.targets, 1, 1));
      for (const [i, { tokens }] of sequences.entries()) {
        const theirs = (logits[i] as Float32Array).subarray(-vocabulary);
        const { logits: ours } = await decoder.prefill(tokens, feeds);
        expect(largestDifference(ours.data, theirs), `sequence ${i}`).toBeLessThan(1e-4);
        const { logits: without } = await decoder.prefill(tokens, base);
        // The adapter has an effect: the logits without it are far away.
        expect(largestDifference(without.data, theirs)).toBeGreaterThan(1e-2);
      }
    },
  );

  it('is exported in the same bytes that PEFT has loaded', async () => {
    const { files } = readPeftFixture('exported');
    const log = await openLog();
    const { number } = await log.import(files);
    expect((await log.readAdapter(number)).tensors).toEqual(original.tensors);
    const exported = await log.export(number, exportedMeta.baseModel);
    for (const file of ['adapter_model.safetensors', 'adapter_config.json']) {
      expect(Buffer.from(exported[file] as Uint8Array).equals(files[file] as Uint8Array), file).toBe(true);
    }
  });

  it('of some layers has zero matrices for the others', async () => {
    const log = await openLog();
    const { number, metrics } = await log.import(readPeftFixture('named').files);
    expect(metrics).toMatchObject({ rank: 5, scale: 8 / 5 });
    const { tensors } = await log.readAdapter(number);
    const nonZero = [...tensors].flatMap(([name, { data }]) => (data.some((value) => value !== 0) ? [name] : []));
    const named = decoder.targets.filter(({ module }) => /(q_proj|v_proj|down_proj)$/.test(module));
    expect(nonZero.sort()).toEqual(named.flatMap(({ module }) => [`${module}.lora_A`, `${module}.lora_B`]).sort());
  });
});
