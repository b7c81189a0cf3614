/** Every test file belongs to a suite. Tests with a real learner belong to the project whose files run one at a time. */

import { readdirSync, readFileSync } from 'node:fs';
import { join, matchesGlob } from 'node:path';
import { expect, it } from 'vitest';
import { projectFolder } from '../../support/server.js';

const { withLearner } = (await import(join(projectFolder, 'vitest.config.mjs'))) as { withLearner: readonly string[] };
const folder = join(projectFolder, 'test');
const files = (readdirSync(folder, { recursive: true, encoding: 'utf8' }) as string[])
  .filter((path) => path.endsWith('.test.ts') && !path.startsWith('node_modules'))
  .map((path) => path.replaceAll('\\', '/'));

/** These start a learner, but only test that it is refused or stopped, so it need not get any work done. */
const withoutWork = ['fault/unlearnable-package.test.ts', 'integration/door.test.ts'];

it('every test file whose learner has work to do runs alone', () => {
  const starts = /\b(eagerLearner|startLearner|storm)\b|'--learner',\s*'on'|\['?demo'?,|'demo',/;
  const learning = files.filter((path) => {
    return /^(fault|integration)\//.test(path) && starts.test(readFileSync(join(folder, path), 'utf8'));
  });
  expect(learning.length).toBeGreaterThan(10);
  const beside = learning.filter((path) => !withLearner.some((place) => matchesGlob(path, `${place}?(.long).test.ts`)));
  expect(beside.sort()).toEqual(withoutWork);
});

it('every test file is in a folder in which a suite looks for it', () => {
  const known = /^(unit\/([\w-]+\/)*|property\/|integration\/|fault\/|short\/)[\w-]+(\.long)?\.test\.ts$/;
  expect(files.filter((path) => !known.test(path))).toEqual([]);
});
