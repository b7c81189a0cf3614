/**
 * A linear form sum_i w_i ln pi(y_i|x_i) over the R rows of a batch: all that an engine ever differentiates.
 *
 * Its weights are constants, or follow the policy as it is in the very pass that differentiates:
 *
 *     w = b + S h,   h_i = ln pi(y_i|x_i) - ln pi_ref(y_i|x_i)          w, b, h [R], S [R, R]
 *
 * No gradient flows through the weights. CoPG, IPO and policy gradients with a KL term have weights of this kind.
 */

export interface LinearForm {
  /** b [R]: the weights of a policy that is the reference. */
  readonly constants: ArrayLike<number>;
  /** How the weights follow h. Absent: S = 0, and the weights are the constants. */
  readonly dependence?: {
    /** S [R, R], row by row. */
    readonly slopes: Float32Array;
    /** ln pi_ref(y_i|x_i) [R] */
    readonly referenceLogprobs: ArrayLike<number>;
  };
}

/**
 * The weights w = b + S h of a form.
 * @param logprobs ln pi(y_i|x_i) [R]
 */
export function weightsOf({ constants, dependence }: LinearForm, logprobs: ArrayLike<number>): Float32Array {
  const weights = Float32Array.from(constants);
  if (dependence === undefined) return weights;
  const { slopes, referenceLogprobs } = dependence;
  const rows = weights.length;
  for (let i = 0; i < rows; i++) {
    let weight = constants[i] as number;
    for (let j = 0; j < rows; j++) {
      weight += (slopes[i * rows + j] as number) * ((logprobs[j] as number) - (referenceLogprobs[j] as number));
    }
    weights[i] = weight;
  }
  return weights;
}
