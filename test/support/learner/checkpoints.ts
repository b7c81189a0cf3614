/** A small checkpoint with a value for each field that earlier builds wrote, too. */

import type { Checkpoint } from '../../../src/learner/round/checkpoint.js';

export const checkpoint: Checkpoint = {
  state: {
    packageDigest: 'package',
    rank: 2,
    scale: 2,
    liveVersion: 3,
    liveDigest: 'live',
    candidateDigests: ['c1', 'c2'],
    sequence: 17,
    owedRows: 5,
    steps: 9,
    droppedSteps: 1,
    rounds: 2,
    optimizerStep: 8,
    baseline: [0.25, 0.5],
    reference: { version: 2, digest: 'r' },
    uses: [['g1', 2]],
  },
  parameters: new Map([['m.lora_A', { dims: [2, 2], data: Float32Array.of(1, 2, 3, 4) }]]),
  reference: new Map([['m.lora_A', { dims: [2, 2], data: Float32Array.of(5, 6, 7, 8) }]]),
  moments: new Map([['m.lora_A', { first: Float32Array.of(1, 0, 0, 1), second: Float32Array.of(4, 3, 2, 1) }]]),
};
