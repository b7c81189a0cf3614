/** Cells for the tests of cells. Each computes a square, and notes in a log that it was computed. */

import { appendFileSync, existsSync } from 'node:fs';
import { until } from '../until.js';

export interface SquareInput {
  readonly value: number;
  readonly log: string;
  /** If set, the cell does not end before this file exists. */
  readonly gate?: string;
}

export async function runCell({ value, log, gate }: SquareInput): Promise<number> {
  appendFileSync(log, `${value}\n`);
  if (gate !== undefined && !existsSync(gate)) {
    process.stderr.write('waiting at the gate\n');
    await until(() => existsSync(gate), 'the gate is open');
  }
  if (value < 0) throw new Error(`${value} is negative`);
  return value ** 2;
}
