/** Cells for the tests of cells: they note in a log that they were computed. */

import { appendFileSync, existsSync } from 'node:fs';
import { until } from '../until.js';

export interface SquareInput {
  readonly value: number;
  readonly log: string;
  /** Never comes to an end while no file lies here. */
  readonly gate?: string;
}

export async function runCell({ value, log, gate }: SquareInput): Promise<number> {
  appendFileSync(log, `${value}\n`);
  if (gate !== undefined && !existsSync(gate)) {
    process.stderr.write('waiting at the gate\n');
    await until(() => existsSync(gate), 'the gate is open');
  }
  if (value < 0) throw new Error(`${value} is below 0`);
  return value ** 2;
}
