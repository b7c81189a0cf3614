/** `hone demo` with few scores: its parts work together. The README has the result of a full run. */

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { temporaryFolder } from '../support/folders.js';
import { startProcess } from '../support/processes.js';

const main = fileURLToPath(new URL('../../cli/main.js', import.meta.url));
const judge = fileURLToPath(new URL('../../models/recipe/judges/tone.js', import.meta.url));

async function demo(data: string, ...flags: readonly string[]) {
  const args = [main, 'demo', '--json', '--data', data, '--posts', '8', '--judge', judge, ...flags];
  const child = startProcess(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const exited = new Promise((resolve) => child.once('exit', resolve));
  const [output, remarks] = await Promise.all([text(child.stdout as Readable), text(child.stderr as Readable)]);
  return { code: await exited, output, remarks };
}

it('the demo plays the loop, prints one line of JSON and writes a page', async () => {
  const data = temporaryFolder();
  const { code, output, remarks } = await demo(data, '--scores', '160');
  const result = JSON.parse(output);
  expect(result).toMatchObject({ scores: 160, refused: 0, cut: 0, page: join(data, 'report.html') });
  expect(result.went_live, remarks).toBeGreaterThan(0);
  expect(result.best_of_4).toBeGreaterThan(result.reward_before);
  expect(result.gain).toBeCloseTo(result.reward_after - result.reward_before, 10);
  // Chance decides whether one round of 128 scores has a visible effect on eight posts. The exit code must agree with it.
  expect(code).toBe(result.outcome === 'learned' ? 0 : 5);
  expect(result.outcome === 'learned').toBe(result.gain > 2 * result.gain_stderr);
  expect(result.reasons.length > 0).toBe(result.outcome !== 'learned');
  expect(readFileSync(result.page, 'utf8')).toContain('<polyline');
});

it('the demo reports too few scores as the reason why nothing was learned, and ends with code 5', async () => {
  const data = temporaryFolder();
  const { code, output, remarks } = await demo(data, '--scores', '20');
  expect(code).toBe(5);
  const result = JSON.parse(output);
  expect(result).toMatchObject({ outcome: 'no_version', scores: 20, candidates: 0, went_live: 0, live_version: 0 });
  expect(result.reasons).toEqual([expect.stringContaining('after 128 new scores; 20 were given')]);
  for (const name of ['gain', 'gap_closed', 'reward_after', 'kl']) expect(result).not.toHaveProperty(name);
  expect(remarks).toContain('Nothing was learned');
  expect(readFileSync(result.page, 'utf8')).toContain('Nothing was learned');
});

it('the demo refuses a folder with an earlier run, and a judge that returns no score', async () => {
  const data = temporaryFolder();
  writeFileSync(join(data, 'replay.sqlite'), '');
  expect(await demo(data)).toMatchObject({ code: 2, output: '', remarks: expect.stringContaining('is not empty') });
  const folder = temporaryFolder();
  const wrong = join(folder, 'judge.mjs');
  writeFileSync(wrong, 'export default (post, completion) => 4;');
  const refused = await demo(join(folder, 'data'), '--judge', wrong);
  expect(refused).toMatchObject({
    code: 2,
    output: '',
    remarks: expect.stringContaining('returned 4; it must return a number from 0 to 1'),
  });
});
