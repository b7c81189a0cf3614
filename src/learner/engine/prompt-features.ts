/**
 * The features of a prompt that V(x) reads: the mean of its hidden states, and the last one, which depends on all
 * tokens.
 */

/**
 * @param states [T, width], of the prompt, and of tokens after it if there are any
 * @param length of the prompt, in tokens
 * @returns [2 width]
 */
export function poolPrompt(states: Float32Array, length: number, width: number): Float32Array {
  const pooled = new Float32Array(2 * width);
  for (let t = 0; t < length; t++) {
    for (let d = 0; d < width; d++) pooled[d] = (pooled[d] as number) + (states[t * width + d] as number) / length;
  }
  pooled.set(states.subarray((length - 1) * width, length * width), width);
  return pooled;
}
