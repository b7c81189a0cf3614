/** Writes the folder of the reward model, in the Hugging Face layout of a sequence classification with one label. */

import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { encodeModel, type Tensor } from '../../../src/onnx/index.js';
import type { DecoderShape } from '../decoder.js';
import { specialTokens } from '../tokenizer/index.js';
import { classifierGraph } from './classifier.js';

/**
 * The padding token. `transformers` reads the logit at the last token that is not padding. Every text ends in the end
 * token, so the padding token must be another one.
 */
const padToken = '<|system|>';

interface RewardPackageContents {
  readonly shape: DecoderShape;
  readonly weights: ReadonlyMap<string, Tensor>;
  /** Folder of the policy from which the tokenizer's files are copied. */
  readonly policyDirectory: string;
}

/** Creates the folder and writes `config.json`, the tokenizer's files and `onnx/model.onnx`. */
export async function writeRewardPackage(directory: string, contents: RewardPackageContents): Promise<void> {
  const { shape, weights, policyDirectory } = contents;
  await mkdir(join(directory, 'onnx'), { recursive: true });
  const config = JSON.parse(await readFile(join(policyDirectory, 'config.json'), 'utf8'));
  await writeJson(join(directory, 'config.json'), {
    ...config,
    architectures: ['LlamaForSequenceClassification'],
    id2label: { 0: 'reward' },
    label2id: { reward: 0 },
    pad_token_id: specialTokens.indexOf(padToken),
  });
  for (const file of ['tokenizer_config.json', 'special_tokens_map.json']) {
    const value = JSON.parse(await readFile(join(policyDirectory, file), 'utf8'));
    await writeJson(join(directory, file), { ...value, pad_token: padToken });
  }
  await copyFile(join(policyDirectory, 'tokenizer.json'), join(directory, 'tokenizer.json'));
  await writeFile(join(directory, 'onnx', 'model.onnx'), encodeModel(classifierGraph(shape, weights)));
}

async function writeJson(path: string, value: unknown): Promise<void> {
  await writeFile(path, `${JSON.stringify(value, null, 2)}\n`);
}
