/** placeholder until the policy exists */
import type { CurvePoint } from './curve.js';
export async function writeCard(
  _out: string,
  _options: { readonly curve: readonly CurvePoint[]; readonly samples: number },
): Promise<void> {}
