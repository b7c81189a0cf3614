/** `hone demo` with a handful of scores: its parts fit together; what it learns in full is in the README. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { temporaryFolder } from '../support/folders.js';
import { startProcess } from '../support/processes.js';

it('plays the loop, prints one line of JSON and writes a report', async () => {
  const data = temporaryFolder();
  const main = fileURLToPath(new URL('../../client/cli/main.js', import.meta.url));
  const judge = fileURLToPath(new URL('../../models/recipe/judges/tone.js', import.meta.url));
  const args = [main, 'demo', '--json', '--data', data, '--scores', '160', '--posts', '8', '--judge', judge];
  const child = startProcess(process.execPath, args, { stdio: ['ignore', 'pipe', 'ignore'] });
  const exited = new Promise((resolve) => child.once('exit', resolve));
  const output = await text(child.stdout as Readable);
  expect(await exited).toBe(0);
  const result = JSON.parse(output.trim());
  expect(result).toMatchObject({ scores: 160, refused: 0, cut: 0 });
  expect(result.versions).toBeGreaterThan(0);
  expect(result.best_of_4).toBeGreaterThan(result.reward_before);
  for (const value of Object.values(result)) expect(value).toBeTypeOf('number');
  expect(readFileSync(join(data, 'report.html'), 'utf8')).toContain('<polyline');
});
