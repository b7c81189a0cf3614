import { it } from 'vitest';
import { storm } from './storm.js';

it('a dozen kills lose nothing acknowledged, repeat nothing, leave no process, and the live version serves again', async () => {
  await storm(12, Number(process.env.HONE_STORM_SEED ?? Math.floor(Math.random() * 2 ** 32)));
});
