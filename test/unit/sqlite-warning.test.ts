/** SQLite's warning, and no other, is kept from users. */

import { spawnSync } from 'node:child_process';
import { expect, it } from 'vitest';

const file = new URL('../../src/sqlite-warning.js', import.meta.url).href;

/** What a program prints on standard error that loads SQLite, where this Node has it, and warns of other things. */
function warningsOf(prelude: string): string {
  const program = `${prelude}
    await import('node:sqlite').catch(() => {});
    process.emitWarning('SQLite is an experimental feature and might change at any time', 'ExperimentalWarning');
    process.emitWarning('Something Else is an experimental feature', 'ExperimentalWarning');
    process.emitWarning('SQLite files are large', 'PlainWarning');
    process.emitWarning('old', { type: 'DeprecationWarning', code: 'HONE0' });
    process.emitWarning(new Error('an error of its own'));`;
  const { stderr, status } = spawnSync(process.execPath, ['--input-type=module', '--eval', program], {
    encoding: 'utf8',
  });
  expect(status).toBe(0);
  return stderr;
}

it('SQLite is not called experimental; all else is said as before', () => {
  const before = warningsOf('');
  const after = warningsOf(`(await import('${file}')).silenceSqliteWarning();`);
  expect(before).toContain('SQLite is an experimental feature');
  expect(after).not.toContain('SQLite is an experimental feature');
  const others = [
    'ExperimentalWarning: Something Else is an experimental feature',
    'PlainWarning: SQLite files are large',
    '[HONE0] DeprecationWarning: old',
    'an error of its own',
  ];
  for (const other of others) {
    expect(before).toContain(other);
    expect(after).toContain(other);
  }
});
