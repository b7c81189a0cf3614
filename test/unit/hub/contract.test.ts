/** Hone and the libraries of Hugging Face read each other's cache. The Python side comes from a committed fixture. */

import { lstatSync, mkdirSync, readdirSync, readFileSync, readlinkSync, symlinkSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, dirname, join } from 'node:path';
import { expect, it } from 'vitest';
import { listModels } from '../../../src/hub/index.js';
import { commit, smallRepository, TestHub } from '../../support/hub.js';
import { Pulls } from '../../support/hub-pulls.js';

type Entry = { readonly link: string } | { readonly text: string } | { readonly bytes: number };

const root = dirname(createRequire(import.meta.url).resolve('hone-agent/package.json'));
const fixture = JSON.parse(readFileSync(join(root, 'test/oracles/hub-cache.json'), 'utf8')) as {
  readonly entries: Readonly<Record<string, Entry>>;
};
/** All but a listing that newer releases of `huggingface_hub` keep for themselves. */
const ofPython = Object.fromEntries(Object.entries(fixture.entries).filter(([path]) => !path.startsWith('trees/')));
const id = 'somebody/small-model';
const folderName = 'models--somebody--small-model';

/** What the test uses of `@huggingface/hub`. */
interface Library {
  scanCacheDir(folder: string): Promise<{
    readonly repos: readonly {
      readonly id: object;
      readonly revisions: readonly {
        readonly commitOid: string;
        readonly refs: readonly string[];
        readonly files: readonly { readonly path: string }[];
      }[];
    }[];
    readonly warnings: readonly Error[];
  }>;
}

// Loaded by its name alone: a checkout in which it is not installed yet still compiles.
const libraryName: string = '@huggingface/hub';
const library = (await import(libraryName).catch(() => undefined)) as Library | undefined;

it('a pull makes the folders, links and files that huggingface_hub makes', async () => {
  await using hub = await TestHub.start(smallRepository());
  const pulls = new Pulls(hub);
  await pulls.pull(id);
  const own = join(pulls.cacheDirectory, folderName);
  const entries: Record<string, Entry> = {};
  for (const path of readdirSync(own, { recursive: true, encoding: 'utf8' })) {
    const found = lstatSync(join(own, path));
    if (found.isSymbolicLink()) entries[path] = { link: readlinkSync(join(own, path)) };
    else if (found.isFile()) {
      entries[path] = found.size < 100 ? { text: readFileSync(join(own, path), 'utf8') } : { bytes: found.size };
    }
  }
  expect(entries).toEqual(ofPython);
});

it('what huggingface_hub has fetched is found without a network', async () => {
  const pulls = new Pulls({ endpoint: 'http://127.0.0.1:1' }, { offline: true });
  for (const [path, entry] of Object.entries(fixture.entries)) {
    const place = join(pulls.cacheDirectory, folderName, path);
    mkdirSync(dirname(place), { recursive: true });
    if ('link' in entry) symlinkSync(entry.link, place);
    else writeFileSync(place, 'text' in entry ? entry.text : Buffer.alloc(entry.bytes));
  }
  const { directory, choice } = await pulls.pull(id);
  expect(choice.variant).toMatchObject({ name: 'fp32', bytes: 203_038 });
  expect(readFileSync(join(directory, 'config.json'), 'utf8')).toContain('llama');
  expect(await listModels(pulls.cacheDirectory)).toMatchObject([
    { id, snapshots: [{ revisions: ['main'], family: 'llama' }] },
  ]);
});

it.skipIf(library === undefined)('what was pulled is found by @huggingface/hub, which npm install brings', async () => {
  await using hub = await TestHub.start(smallRepository());
  const pulls = new Pulls(hub);
  await pulls.pull(id);
  const found = await library?.scanCacheDir(pulls.cacheDirectory);
  expect(found?.repos).toMatchObject([{ id: { name: id, type: 'model' } }]);
  expect(found?.repos[0]?.revisions).toMatchObject([{ commitOid: commit, refs: ['main'] }]);
  // It lists the files of the root alone, whoever has fetched them.
  const names = found?.repos[0]?.revisions[0]?.files.map(({ path }) => basename(path));
  expect(names?.sort()).toEqual(['config.json', 'generation_config.json', 'tokenizer.json', 'tokenizer_config.json']);
});
