import { test } from 'vitest';
import { swapUnderLoad } from './swaps.js';

test('a thousand swaps under load refuse, cut or mix no request, and memory does not grow', async () => {
  await swapUnderLoad({ warmUpSwaps: 100, swaps: 1000, rank: 240 });
});
