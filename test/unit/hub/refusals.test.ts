/** Whatever a hub refuses, the error says what to do. */

import { describe, expect, it } from 'vitest';
import { smallRepository, startHub } from '../../support/hub.js';
import { Pulls } from '../../support/hub-pulls.js';

const id = 'somebody/small-model';

describe('a refusal', () => {
  it.each([
    [
      'a gated model',
      /revision/,
      403,
      { 'x-error-code': 'GatedRepo' },
      'HUB_REFUSED',
      /gated: accept its licence at .*small-model .*HF_TOKEN/,
    ],
    ['a private one without a token', /revision/, 401, {}, 'HUB_REFUSED', /does not exist, or it is private.*HF_TOKEN/],
    ['a token without rights', /revision/, 403, {}, 'HUB_REFUSED', /token may not read it/],
    [
      'a gated file',
      /hub .*resolve.*onnx_data/,
      401,
      { 'x-error-code': 'GatedRepo' },
      'HUB_REFUSED',
      /accept its licence/,
    ],
    ['a hub that is busy for long', /revision/, 429, { 'retry-after': '3600' }, 'HUB_BUSY', /in 3600 s/],
    ['an address that is no hub', /revision/, 200, {}, 'HUB_UNREACHABLE', /no answer of a Hugging Face hub/],
  ])('of %s says what to do', async (_, match, status, headers, code, message) => {
    const hub = await startHub(smallRepository());
    hub.fail(match, { kind: 'status', status, headers });
    await expect(new Pulls(hub).pull(id)).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
  });

  it('of a token that is not valid says so', async () => {
    const hub = await startHub(smallRepository());
    hub.fail(/revision/, { kind: 'status', status: 401, headers: { 'x-error-message': 'Invalid credentials' } });
    await expect(new Pulls(hub, { token: 'hf_old' }).pull(id)).rejects.toMatchObject({
      code: 'HUB_REFUSED',
      message: expect.stringMatching(/token .* is not valid or has expired.*Invalid credentials/),
    });
  });

  it('of a name that does not exist lists near ones', async () => {
    const hub = await startHub(smallRepository());
    await expect(new Pulls(hub).pull('somebody/smal-model')).rejects.toMatchObject({
      code: 'HUB_NOT_FOUND',
      message: expect.stringMatching(/no model somebody\/smal-model .*Near names: somebody\/small-model/),
    });
  });

  it('of a revision lists those that there are', async () => {
    const hub = await startHub(smallRepository());
    await expect(new Pulls(hub).pull(`${id}@v2`)).rejects.toMatchObject({
      code: 'HUB_NOT_FOUND',
      message: expect.stringContaining('no revision v2. It has: main, v1'),
    });
  });

  it('of a variant shows a table of those that there are, with sizes', async () => {
    const hub = await startHub(smallRepository());
    await expect(new Pulls(hub).pull(`${id}:q5`)).rejects.toMatchObject({
      code: 'HUB_NOT_FOUND',
      message: expect.stringMatching(/no form q5\. It has:\n {2}:fp32 +198 KiB +onnx\/model\.onnx\n {2}:q4 +48\.9 KiB/),
    });
  });

  it('of a hub that is down comes after a few tries', async () => {
    const hub = await startHub(smallRepository());
    const pulls = new Pulls(hub);
    await hub.close();
    await expect(pulls.pull(id)).rejects.toMatchObject({
      code: 'HUB_UNREACHABLE',
      message: expect.stringContaining('HF_ENDPOINT'),
    });
    expect(pulls.waits).toEqual([1, 2, 4]);
  });
});
