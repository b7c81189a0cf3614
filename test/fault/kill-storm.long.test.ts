import { it } from 'vitest';
import { storm } from './storm.js';

it('fifty kills lose nothing acknowledged, repeat nothing, leave no process, and the live version serves again', {
  timeout: 900_000,
}, async () => {
  const { HONE_STORM_KILLS: kills = 50, HONE_STORM_SEED: seed = Math.floor(Math.random() * 2 ** 32) } = process.env;
  await storm(Number(kills), Number(seed));
});
