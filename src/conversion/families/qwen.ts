/** Qwen2, 2.5 and 3: Llama with biases, or with norms of query and key, and a window in some layers. */

import type { ConfigFields } from '../checkpoint/config-fields.js';
import type { DecoderPlan } from '../checkpoint/decoder-plan.js';
import { type Family, readWindowed, rmsNorm } from './family.js';
import { llamaPlan } from './llama.js';

export const qwen2: Family = {
  modelTypes: ['qwen2'],
  base: 'model',
  describe: (fields, base) => {
    const biases = { projections: true, output: false, ffn: false };
    return withWindows(fields, llamaPlan(fields, base, { biases, tied: false }));
  },
};

export const qwen3: Family = {
  modelTypes: ['qwen3'],
  base: 'model',
  describe: (fields, base) => {
    const bias = fields.flag('attention_bias', false);
    const biases = { projections: bias, output: bias, ffn: false };
    const plan = withWindows(fields, llamaPlan(fields, base, { biases, tied: false, headSize: 128 }));
    const epsilon = fields.number('rms_norm_eps', 1e-6);
    return {
      ...plan,
      layers: plan.layers.map((layer, i) => {
        const at = `${base}.layers.${i}.self_attn`;
        const query = rmsNorm(`${at}.q_norm`, epsilon);
        const key = rmsNorm(`${at}.k_norm`, epsilon);
        return { ...layer, attention: { ...layer.attention, queryKeyNorm: { over: 'head', query, key } } };
      }),
    };
  },
};

/** The first `max_window_layers` layers see all tokens, if there is a window at all. */
function withWindows(fields: ConfigFields, plan: DecoderPlan): DecoderPlan {
  const window = fields.flag('use_sliding_window', false) ? fields.optionalNumber('sliding_window') : null;
  const first = fields.optionalNumber('max_window_layers') ?? 28;
  fields.ignore('sliding_window');
  const windowed = readWindowed(fields, plan.layers.length, (i) => window !== null && i >= first);
  return {
    ...plan,
    layers: plan.layers.map((layer, i) => ({
      ...layer,
      attention: { ...layer.attention, window: windowed[i] ? window : null },
    })),
  };
}
