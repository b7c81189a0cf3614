/**
 * Shifts the clock of a server into which it is preloaded (`NODE_OPTIONS=--import`), by the number of milliseconds in the
 * file that HONE_TEST_CLOCK names. Timers and `performance.now` do not change, as when the clock of a machine is set.
 */

import { readFileSync } from 'node:fs';

const path = process.env.HONE_TEST_CLOCK ?? '';
const RealDate = Date;
const realNow = Date.now.bind(Date);

function shiftedNow(): number {
  return realNow() + Number(readFileSync(path, 'utf8'));
}

class ShiftedDate extends RealDate {
  constructor(...args: []) {
    if (args.length === 0) super(shiftedNow());
    else super(...args);
  }

  static override now(): number {
    return shiftedNow();
  }
}

globalThis.Date = ShiftedDate as DateConstructor;
