import { test } from 'vitest';
import { swapUnderLoad } from './swaps.js';

test('a hundred swaps under load refuse, cut and mix nothing, and leave memory as it was', async () => {
  await swapUnderLoad({ warmUpSwaps: 40, swaps: 100, rank: 240 });
});
