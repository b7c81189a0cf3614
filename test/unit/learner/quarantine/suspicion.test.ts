import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { type RunningPass, Suspicion } from '../../../../src/learner/quarantine/suspicion.js';
import { temporaryFolder } from '../../../support/folders.js';

/** What the processes of one learner know, one after the other. */
function processes() {
  const path = join(temporaryFolder(), 'pass.json');
  return (): Suspicion & { readonly diedIn: RunningPass | null } => {
    const suspicion = new Suspicion(path);
    const diedIn = suspicion.open();
    onTestFinished(() => suspicion.close());
    return Object.assign(suspicion, { diedIn });
  };
}

const whole = { key: 'a', part: 'whole' } as const;

test('a pass in which two processes died in a row is suspected, and one death alone is no evidence', () => {
  const start = processes();
  start().begin(whole);
  const second = start();
  expect(second.diedIn).toEqual(whole);
  expect(second.stateOf('a')).toBe('broken_off');
  second.begin(whole);
  expect(start().stateOf('a')).toBe('suspected');
});

test('a pass that ends after a death is trusted again, and other passes stay trusted', () => {
  const start = processes();
  start().begin(whole);
  const second = start();
  second.begin({ key: 'before', part: 'whole' });
  second.end();
  expect(second.stateOf('a')).toBe('broken_off');
  second.moveTo('a', 'trusted');
  second.begin(whole);
  expect(start().stateOf('a')).toBe('broken_off');
});

test('a process that dies between passes, or that is given up in one, accuses nobody', () => {
  const start = processes();
  const first = start();
  first.begin(whole);
  first.end();
  expect(start().diedIn).toBeNull();
  const third = start();
  third.begin(whole);
  third.close();
  const fourth = start();
  expect(fourth.diedIn).toBeNull();
  expect(fourth.stateOf('a')).toBe('trusted');
});

test('deaths in passes over a row alone are counted over processes until it is acquitted', () => {
  const start = processes();
  for (let deaths = 0; deaths < 3; deaths++) {
    const suspicion = start();
    expect(suspicion.deathsOf('row')).toBe(deaths);
    suspicion.begin({ key: 'row', part: 'alone', row: 'row' });
  }
  const last = start();
  expect(last.deathsOf('row')).toBe(3);
  last.acquit('row');
  expect(start().deathsOf('row')).toBe(0);
});

test('a death in a pass over two tokens accuses no row and no pass', () => {
  const start = processes();
  start().begin({ key: 'a', part: 'trivial' });
  const second = start();
  expect(second.diedIn?.part).toBe('trivial');
  expect(second.stateOf('a')).toBe('trusted');
});

test('a short note replaces a long one, and a note that cannot be read accuses nobody', () => {
  const path = join(temporaryFolder(), 'pass.json');
  const first = new Suspicion(path);
  first.open();
  first.begin({ key: 'k'.repeat(6000), part: 'whole' });
  first.begin(whole);
  const second = new Suspicion(path);
  expect(second.open()).toEqual(whole);
  second.close();
  first.close();
  writeFileSync(path, '{"format":1,"running":{"key"');
  const third = new Suspicion(path);
  expect(third.open()).toBeNull();
  third.close();
});
