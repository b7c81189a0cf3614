import { test } from 'vitest';
import { swapUnderLoad } from './swaps.js';

test('a thousand swaps under load refuse, cut and mix nothing, and leave memory as it was', async () => {
  await swapUnderLoad({ warmUpSwaps: 100, swaps: 1000, rank: 240 });
});
