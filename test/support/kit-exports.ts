/** Exports in a kit of models: each answers as its reference, in both variants. */

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { createOnnxEngine } from '../../src/learner/index.js';
import type { Graph } from '../../src/onnx/index.js';
import { configSchema, decoderConfig } from '../../src/package/config.js';
import { readDecoderFile } from '../../src/package/decoder-file.js';
import { findLinears } from '../../src/package/index.js';
import type { DecoderConfig } from '../../src/package/types.js';
import { zeroAdapter } from '../../src/versions/index.js';
import { decodeLogits } from './conversion/logits.js';
import { logSoftmax } from './policy/policy.js';

/** The folder of the kit, `''` if there is none. */
export const kit = process.env.HONE_KIT ?? '';

const list = (folder: string): string[] => (existsSync(folder) ? readdirSync(folder) : []);

/** Returns `family/form` of all exports of some forms. */
export function exportsOf(isForm: (form: string) => boolean): string[] {
  return list(kit).flatMap((family) =>
    list(join(kit, family))
      .filter(isForm)
      .map((form) => `${family}/${form}`),
  );
}

/** Reads an export as a package would be, without its tokenizer. */
export async function readExport(name: string): Promise<{ graph: Graph; config: DecoderConfig }> {
  const directory = join(kit, name);
  const config = configOf(directory);
  return { graph: await readDecoderFile(directory, config), config };
}

type Reference = readonly [number[], number[]];

/** Compares decode and training variant of an export with its reference. */
export async function expectReference(name: string, graph: Graph, config: DecoderConfig): Promise<void> {
  const directory = join(kit, name);
  const reference = JSON.parse(readFileSync(join(directory, 'reference.json'), 'utf8')) as {
    ids: number[];
    pt: Reference;
    ort?: Reference;
  };
  const isQuantized = /int4|q4|bnb4|quantized/.test(name);
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
  const sum = tokens.reduce((total, token, i) => total + (logSoftmax(decoded[i] as Float32Array)[token] as number), 0);
  const engine = await createOnnxEngine({ packageDirectory: directory, rank: 2, scale: 1, threads: 1 });
  try {
    const row = { promptTokens: ids, completionTokens: tokens };
    const [trained] = await engine.logProbabilities([row], new Map(zeroAdapter(findLinears(graph), 2, 1).tensors));
    expect(Math.abs((trained as number) - sum)).toBeLessThan(tolerance * tokens.length);
  } finally {
    await engine.close();
  }
}

/** The configuration without what only the tokenizer tells. */
function configOf(directory: string): DecoderConfig {
  const stated = configSchema.parse(JSON.parse(readFileSync(join(directory, 'config.json'), 'utf8')));
  return decoderConfig(stated, {}, { eosTokenIds: [0], turnEndTokenId: 0, textEndTokenId: 0 });
}
