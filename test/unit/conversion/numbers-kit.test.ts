/** Exports of a kit of models with numbers of other types, converted, against onnxruntime on the untouched file. */

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { convertModelFile, needsConversion } from '../../../src/conversion/index.js';
import { readModel } from '../../../src/onnx/index.js';
import { ownLogits } from '../../support/conversion/logits.js';
import { temporaryFolder } from '../../support/folders.js';

const kit = process.env.HONE_KIT ?? '';

/** The largest difference of a log-probability, by form. Dynamic int8 quantises the input of each product. */
const errors: Readonly<Record<string, number>> = {
  'tjs-bnb4': 1e-4,
  'tjs-fp16': 0.06,
  'tjs-q4f16': 0.06,
  'tjs-quantized': 1,
};
/** Tokens of 24 that may differ from those of the file, whose int8 depends on the tokens beside them. */
const strayTokens = 4;

const forms = existsSync(kit)
  ? readdirSync(kit).flatMap((family) =>
      Object.keys(errors)
        .filter((form) => existsSync(join(kit, family, form, 'reference.json')))
        .map((form) => [family, form] as const),
    )
  : [];

describe.skipIf(forms.length === 0)('the exports of the kit in HONE_KIT', () => {
  it.each(forms)('%s/%s answers as its file does', async (family, form) => {
    const directory = join(kit, family, form);
    const { ids, ort } = JSON.parse(readFileSync(join(directory, 'reference.json'), 'utf8')) as {
      ids: number[];
      ort: [number[], number[]];
    };
    let modelPath = join(directory, 'onnx', 'model.onnx');
    if (needsConversion(await readModel(modelPath)) !== null) {
      const folder = temporaryFolder();
      await convertModelFile(modelPath, folder);
      modelPath = join(folder, 'model.onnx');
    }
    const [tokens, logprobs] = ort;
    const logits = await ownLogits(modelPath, [...ids, ...tokens.slice(0, -1)]);
    let strays = 0;
    for (const [i, token] of tokens.entries()) {
      const row = logits[ids.length - 1 + i] as Float32Array;
      const most = Math.max(...row);
      if (row.indexOf(most) !== token) strays += 1;
      const sum = row.reduce((total, value) => total + Math.exp(value - most), 0);
      const logprob = (row[token] as number) - most - Math.log(sum);
      expect(Math.abs(logprob - (logprobs[i] as number))).toBeLessThan(errors[form] as number);
    }
    expect(strays).toBeLessThanOrEqual(form === 'tjs-quantized' ? strayTokens : 0);
  });
});
