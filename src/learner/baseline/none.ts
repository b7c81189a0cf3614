/** No baseline: V(x) = 0, so every completion with a positive regularised reward gets a positive weight. */

import type { Member } from '../experience/members.js';
import type { BaselineState, ValueBaseline } from './types.js';

export class NoBaseline implements ValueBaseline {
  async values(members: readonly Member[]): Promise<Float32Array> {
    return new Float32Array(members.length);
  }

  observe(): void {}

  generationIds(): readonly string[] {
    return [];
  }

  retain(): void {}

  state(): BaselineState {
    return { numbers: [] };
  }

  restore(): void {}
}
