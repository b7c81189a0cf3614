import { test } from 'vitest';
import { swapUnderLoad } from './swaps.js';

test('a hundred swaps under load refuse, cut or mix no request, and memory does not grow', async () => {
  await swapUnderLoad({ warmUpSwaps: 40, swaps: 100, rank: 240 });
});
