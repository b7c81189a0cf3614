/** `hone demo` with a handful of scores: its parts fit together; what it learns in full is in the README. */

import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { temporaryFolder } from '../support/server.js';

it('plays the loop, prints one line of JSON and writes a report', async () => {
  const data = temporaryFolder();
  const main = fileURLToPath(new URL('../../client/cli/main.js', import.meta.url));
  const judge = fileURLToPath(new URL('../../models/recipe/judges/tone.js', import.meta.url));
  const args = [main, 'demo', '--json', '--data', data, '--scores', '160', '--posts', '8', '--judge', judge];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'ignore'] });
  const exited = new Promise((resolve) => child.once('exit', resolve));
  const output = await text(child.stdout);
  expect(await exited).toBe(0);
  const result = JSON.parse(output.trim());
  expect(result).toMatchObject({ scores: 160, refused: 0, cut: 0 });
  expect(result.versions).toBeGreaterThan(0);
  expect(result.best_of_4).toBeGreaterThan(result.reward_before);
  for (const value of Object.values(result)) expect(value).toBeTypeOf('number');
  expect(readFileSync(join(data, 'report.html'), 'utf8')).toContain('<polyline');
});
