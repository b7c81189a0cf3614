/** Exports of ONNX Runtime GenAI's builder in a kit of models: each answers as it must, in both variants, or is refused. */

import { describe, expect, it } from 'vitest';
import { HoneError } from '../../../src/errors.js';
import { expectReference, exportsOf, readExport } from '../../support/kit-exports.js';

const exports = exportsOf((form) => form.startsWith('genai-'));

/** Why an export is refused. */
const refusals: readonly (readonly [RegExp, RegExp])[] = [
  [/^phi4mini/, /subgraph/],
  [/fp16$|q4f16$/, /float16/],
  [/^gemma2\/genai-(fp32|int4)$/, /config\.json says/],
  [/^gemma3\/genai-(fp32|int4|jul26-webgpu-fp32)$/, /config\.json says/],
];

describe.skipIf(exports.length === 0)('the exports of GenAI in the kit in HONE_KIT', () => {
  it.each(exports)('%s', async (name) => {
    const refusal = refusals.find(([names]) => names.test(name))?.[1];
    const read = await readExport(name).catch((error: unknown) => HoneError.from(error));
    if (read instanceof HoneError || refusal !== undefined) {
      expect(read instanceof HoneError ? read.message : 'served').toMatch(refusal ?? /^served$/);
      return;
    }
    await expectReference(name, read.graph, read.config);
  });
});
