/**
 * Preloaded into a server (`NODE_OPTIONS=--import`): its clock is off by as many milliseconds as stand in the file that
 * HONE_TEST_CLOCK names. Timers and `performance.now` go on as they do when somebody sets the clock of a machine.
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
