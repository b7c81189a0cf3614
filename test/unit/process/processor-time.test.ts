import { expect, it } from 'vitest';
import { processorTimeOf } from '../../../src/process/processor-time.js';
import { until } from '../../support/until.js';

it.runIf(process.platform === 'linux')(
  'reads the processor time of a process by its id, and of the caller itself',
  async () => {
    const before = processorTimeOf('self')?.ownMs ?? Number.NaN;
    let sum = 0;
    await until(() => {
      for (let i = 0; i < 1e6; i++) sum += Math.sqrt(i);
      return (processorTimeOf(process.pid)?.ownMs ?? 0) >= before + 100;
    }, 'the work of this process counts');
    expect(sum).toBeGreaterThan(0);
  },
);

it('knows nothing of a process that does not exist', () => {
  expect(processorTimeOf(2 ** 30)).toBeNull();
});
