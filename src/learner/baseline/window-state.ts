/** Packs the window of V(x) for a checkpoint: each prompt once, sketches and tokens as tensors. */

import { type PromptSketch, sketchSize } from './prompt-sketch.js';
import type { BaselineState, Observation, ObservedWindow } from './types.js';

export function packWindow(
  window: ReadonlyMap<string, Observation>,
  rest: Pick<ObservedWindow, 'beta' | 'fitted' | 'choice'>,
): Required<Pick<BaselineState, 'window' | 'tensors'>> {
  const prompts = new Map<string, { readonly index: number; readonly prompt: PromptSketch }>();
  for (const { groupKey, prompt } of window.values()) {
    if (!prompts.has(groupKey)) prompts.set(groupKey, { index: prompts.size, prompt });
  }
  const sketches = new Float32Array(prompts.size * sketchSize);
  for (const { index, prompt } of prompts.values()) sketches.set(prompt.numbers, index * sketchSize);
  // Token ids are far below 2^24, up to which float32 is exact.
  const tokens = Float32Array.from([...prompts.values()].flatMap(({ prompt }) => [...prompt.tokens]));
  return {
    window: {
      ...rest,
      prompts: [...prompts].map(([key, { prompt }]) => [key, prompt.tokens.length]),
      observations: [...window].map(([id, { groupKey, reward, h }]) => {
        return [id, prompts.get(groupKey)?.index ?? 0, reward, h];
      }),
    },
    tensors: new Map([
      ['sketches', { dims: [prompts.size, sketchSize], data: sketches }],
      ['tokens', { dims: [tokens.length], data: tokens }],
    ]),
  };
}

/** The packed window; empty if the state has none, or has sketches of another size. */
export function unpackWindow({ window, tensors }: BaselineState): Map<string, Observation> {
  const observations = new Map<string, Observation>();
  const sketches = tensors?.get('sketches')?.data;
  const tokens = tensors?.get('tokens')?.data;
  if (window === undefined || sketches?.length !== window.prompts.length * sketchSize || tokens === undefined) {
    return observations;
  }
  let from = 0;
  const prompts = window.prompts.map(([groupKey, count], i) => {
    const numbers = sketches.slice(i * sketchSize, (i + 1) * sketchSize);
    const prompt = { numbers, tokens: Uint32Array.from(tokens.subarray(from, from + count)) };
    from += count;
    return { groupKey, prompt };
  });
  for (const [id, index, reward, h] of window.observations) {
    const known = prompts[index];
    if (known !== undefined) observations.set(id, { ...known, reward, h });
  }
  return observations;
}
