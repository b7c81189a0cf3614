/** Exports of ONNX Runtime GenAI's builder in a kit of models: each answers as it must, in both variants, or is refused. */

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { HoneError } from '../../../src/errors.js';
import { createOnnxEngine } from '../../../src/learner/index.js';
import { configSchema, decoderConfig } from '../../../src/package/config.js';
import { readDecoderFile } from '../../../src/package/decoder-file.js';
import { findLinears } from '../../../src/package/index.js';
import type { DecoderConfig } from '../../../src/package/types.js';
import { zeroAdapter } from '../../../src/versions/index.js';
import { decodeLogits } from '../../support/conversion/logits.js';
import { logSoftmax } from '../../support/policy/policy.js';

const kit = process.env.HONE_KIT ?? '';
const list = (folder: string): string[] => (existsSync(folder) ? readdirSync(folder) : []);
const exports = list(kit).flatMap((family) =>
  list(join(kit, family))
    .filter((form) => form.startsWith('genai-'))
    .map((form) => `${family}/${form}`),
);

/** Why an export is refused. */
const refusals: readonly (readonly [RegExp, RegExp])[] = [
  [/^phi4mini/, /subgraph/],
  [/fp16$|q4f16$/, /float16/],
  [/^gemma2\/genai-(fp32|int4)$/, /config\.json says/],
  [/^gemma3\/genai-(fp32|int4|jul26-webgpu-fp32)$/, /config\.json says/],
];

type Reference = readonly [number[], number[]];

describe.skipIf(exports.length === 0)('the exports of GenAI in the kit in HONE_KIT', () => {
  it.each(exports)('%s', async (name) => {
    const directory = join(kit, name);
    const config = configOf(directory);
    const refusal = refusals.find(([names]) => names.test(name))?.[1];
    const graph = await readDecoderFile(directory, config).catch((error: unknown) => HoneError.from(error));
    if (graph instanceof HoneError || refusal !== undefined) {
      expect(graph instanceof HoneError ? graph.message : 'served').toMatch(refusal ?? /^served$/);
      return;
    }
    const reference = JSON.parse(readFileSync(join(directory, 'reference.json'), 'utf8')) as {
      ids: number[];
      pt: Reference;
      ort?: Reference;
    };
    const isQuantized = /int4/.test(name);
    const { ids } = reference;
    const judge = reference.ort ?? (isQuantized ? undefined : reference.pt);
    const tokens = (judge ?? reference.pt)[0];
    const modelPath = join(directory, 'onnx/model.onnx');
    const all = [...ids, ...tokens.slice(0, -1)];
    const decoded = (await decodeLogits(modelPath, config.contextLength, all, ids.length)).slice(ids.length - 1);
    const tolerance = isQuantized ? 2e-2 : 2e-4;
    if (judge !== undefined) {
      for (const [i, token] of tokens.entries()) {
        const logits = decoded[i] as Float32Array;
        expect(logits.indexOf(Math.max(...logits)), `token ${i}`).toBe(token);
        expect(Math.abs((logSoftmax(logits)[token] as number) - (judge[1][i] as number))).toBeLessThan(tolerance);
      }
    }
    const sum = tokens.reduce(
      (total, token, i) => total + (logSoftmax(decoded[i] as Float32Array)[token] as number),
      0,
    );
    const engine = await createOnnxEngine({ packageDirectory: directory, rank: 2, scale: 1, threads: 1 });
    try {
      const row = { promptTokens: ids, completionTokens: tokens };
      const [trained] = await engine.logProbabilities([row], new Map(zeroAdapter(findLinears(graph), 2, 1).tensors));
      expect(Math.abs((trained as number) - sum)).toBeLessThan(tolerance * tokens.length);
    } finally {
      await engine.close();
    }
  });
});

/** The configuration without what only the tokenizer tells. */
function configOf(directory: string): DecoderConfig {
  const stated = configSchema.parse(JSON.parse(readFileSync(join(directory, 'config.json'), 'utf8')));
  return decoderConfig(stated, {}, { eosTokenIds: [0], turnEndTokenId: 0, textEndTokenId: 0 });
}
