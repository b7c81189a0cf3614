/** What `hone serve` hands its server. */

import { expect, it } from 'vitest';
import { serverEnvironment } from '../../../client/cli/serve.js';

it('the server gets the environment of the command, its token, and what makes it give memory back', () => {
  expect(serverEnvironment({ PATH: '/bin' }, undefined)).toEqual({ PATH: '/bin', MALLOC_MMAP_THRESHOLD_: '131072' });
  expect(serverEnvironment({ HONE_AUTH_TOKEN: 'of the shell' }, 'of the flag')).toMatchObject({
    HONE_AUTH_TOKEN: 'of the flag',
  });
});

it('who has set how memory is taken keeps it so', () => {
  expect(serverEnvironment({ MALLOC_MMAP_THRESHOLD_: '65536' }, undefined)).toEqual({
    MALLOC_MMAP_THRESHOLD_: '65536',
  });
});
