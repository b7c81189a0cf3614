import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { checkImported } from '../../../src/agent/imported-records.js';
import { ReplayImport } from '../../../src/agent/transfer.js';
import type { Package } from '../../../src/package/index.js';
import { formatRecord, type Generation, openReplayStore, type ReplayRecord } from '../../../src/replay/index.js';
import { checkRewardSettings } from '../../../src/reward/index.js';
import { temporaryFolder } from '../../support/folders.js';
import { admission, completion } from '../../support/replay/records.js';

const pkg = {
  digest: 'package',
  config: { vocabularySize: 100, contextLength: 8 } as Package['config'],
};

function generation(over: Partial<Generation> = {}): ReplayRecord {
  const tokens = { promptTokens: Uint32Array.of(1, 2), tokens: Uint32Array.of(3, 99) };
  return {
    type: 'generation',
    generation: { ...admission('a'), ...completion('a'), ...tokens, editOf: null, ...over } as Generation,
  };
}

test('a record of the package that is served is taken', () => {
  expect(() => checkImported(generation(), pkg)).not.toThrow();
});

test.each([
  ['tokens outside the vocabulary', { tokens: Uint32Array.of(3, 100) }, 'tokens'],
  ['prompt tokens outside the vocabulary', { promptTokens: Uint32Array.of(100) }, 'promptTokens'],
  ['more tokens than the context', { promptTokens: new Uint32Array(7) }, 'tokens'],
  ['log-probabilities that are none', { logprobs: Float32Array.of(-1, 3) }, 'logprobs'],
  ['tokens outside the vocabulary in an edit', { origin: 'edit' as const, tokens: Uint32Array.of(100) }, 'tokens'],
  ['a version that the contract cannot carry', { version: 2 ** 32 }, 'version'],
  ['a time that no date can be', { finishedAtMs: 8.64e15 + 1 }, 'finishedAtMs'],
])('a generation with %s is refused, with the field', (_, over, field) => {
  expect(() => checkImported(generation(over), pkg)).toThrow(
    expect.objectContaining({ code: 'INVALID_REQUEST', violations: [expect.objectContaining({ field })] }),
  );
});

test('a generation that never trains here is taken as it is: of another package, or not finished', () => {
  const tokens = Uint32Array.of(3, 100);
  expect(() => checkImported(generation({ tokens, packageDigest: 'another' }), pkg)).not.toThrow();
  expect(() => checkImported(generation({ tokens, state: 'cancelled' }), pkg)).not.toThrow();
});

test('an import refuses such a record with its line, and takes the others', async () => {
  const store = await openReplayStore({ path: join(temporaryFolder(), 'replay.sqlite') });
  onTestFinished(() => store.close());
  const ids = [1, 2, 3].map((number) => `01920000-0000-7000-8000-00000000000${number}`);
  const lines = ids.map((id, i) => formatRecord(generation({ id, tokens: Uint32Array.of(3, 98 + i) })));
  const imported = new ReplayImport(store, checkRewardSettings(), pkg, () => undefined);
  await imported.add(Buffer.from(`${lines.join('\n')}\n`));
  const { refusals, ...counts } = await imported.finish();
  expect(counts).toEqual({ imported: 2, skipped: 0, refused: 1 });
  expect(refusals).toMatchObject([{ line: 3, error: { code: 'INVALID_REQUEST', violations: [{ field: 'tokens' }] } }]);
});
