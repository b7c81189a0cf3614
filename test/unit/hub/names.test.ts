/** Names, settings of the environment, and what a text stands for. */

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseModelName, readHubSettings, resolvePackage } from '../../../src/hub/index.js';
import { temporaryFolder } from '../../support/folders.js';
import { Pulls } from '../../support/hub-pulls.js';

describe('a name', () => {
  it.each([
    ['owner/name', { id: 'owner/name' }],
    ['owner/name:q4', { id: 'owner/name', variant: 'q4' }],
    ['owner/name@v1.0', { id: 'owner/name', revision: 'v1.0' }],
    ['o/n:cpu_and_mobile/cpu-int4@refs/pr/3', { id: 'o/n', variant: 'cpu_and_mobile/cpu-int4', revision: 'refs/pr/3' }],
  ])('%s has its parts', (text, parts) => {
    expect(parseModelName(text)).toEqual({ variant: undefined, revision: undefined, ...parts });
  });

  it.each([
    'name',
    '/a/b',
    'a/b/c',
    '../b',
    'a/..',
    'a/b:',
    'a/b@',
    'a/b:../c',
    'a/b@../../c',
    'a--b/c',
    `a/${'b'.repeat(96)}`,
    'a b/c',
    'C:\\a/b',
  ])('%s is none', (text) => {
    expect(parseModelName(text)).toBeUndefined();
  });

  it('that is a folder means the folder, and what is neither is refused with both', async () => {
    const pulls = new Pulls({ endpoint: 'http://127.0.0.1:1' }, { offline: true });
    const folder = join(temporaryFolder(), 'owner');
    mkdirSync(folder);
    expect(await resolvePackage(folder, pulls.options)).toEqual({ directory: folder, name: folder });
    await expect(resolvePackage('no such thing', pulls.options)).rejects.toMatchObject({
      code: 'INVALID_OPTIONS',
      message: expect.stringMatching(/no folder .*no such thing.*owner\/name/),
    });
    await expect(resolvePackage('owner/name', pulls.options)).rejects.toMatchObject({ code: 'HUB_UNREACHABLE' });
  });
});

describe('the settings', () => {
  it('have the defaults of huggingface_hub', () => {
    expect(readHubSettings({}, '/home/me')).toEqual({
      endpoint: 'https://huggingface.co',
      token: undefined,
      cacheDirectory: '/home/me/.cache/huggingface/hub',
      offline: false,
    });
  });

  it('follow its variables, the more exact one first', () => {
    const home = temporaryFolder();
    writeFileSync(join(home, 'token'), 'hf_of_file\n');
    expect(readHubSettings({ HF_HOME: home }, '/home/me')).toMatchObject({
      token: 'hf_of_file',
      cacheDirectory: join(home, 'hub'),
    });
    const more = {
      HF_HUB_CACHE: '~/models',
      HF_TOKEN: 'hf_given',
      HF_HUB_OFFLINE: '1',
      HF_ENDPOINT: 'http://mirror:8080/',
    };
    expect(readHubSettings({ HF_HOME: home, ...more }, '/home/me')).toEqual({
      endpoint: 'http://mirror:8080',
      token: 'hf_given',
      cacheDirectory: '/home/me/models',
      offline: true,
    });
  });

  it('refuse an endpoint that is no address', () => {
    expect(() => readHubSettings({ HF_ENDPOINT: 'mirror' }, '/')).toThrow(/HF_ENDPOINT/);
  });
});
