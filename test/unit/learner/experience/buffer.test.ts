import { expect, test } from 'vitest';
import { type BufferOptions, ExperienceBuffer } from '../../../../src/learner/experience/buffer.js';
import { SetAside } from '../../../../src/learner/quarantine/set-aside.js';
import { isHeldOut } from '../../../../src/replay/index.js';
import { checkRewardSettings } from '../../../../src/reward/index.js';
import { decoder, openExperience } from '../../../support/learner/experience.js';
import { preferenceWrite, scoreWrite } from '../../../support/replay/records.js';

function newBuffer(over: Partial<BufferOptions> = {}): ExperienceBuffer {
  return new ExperienceBuffer({ packageDigest: 'package', decoder, holdoutShare: 0, maxStaleness: 3, ...over });
}

function contents(buffer: ExperienceBuffer): string[] {
  return [...buffer.groups.values()]
    .flatMap(({ key, members }) => [...members.values()].map((m) => `${key} ${m.completionTokens.join()} ${m.reward}`))
    .sort();
}

test('scored, finished completions are held by prompt; others are not', async () => {
  const { add, reader } = await openExperience();
  const buffer = newBuffer();
  await add([
    { id: '1', group: 'x', tokens: [1], reward: 0.5 },
    { id: '2', group: 'x', tokens: [2], reward: 1 },
    { id: '3', group: 'y', tokens: [1], reward: 0 },
    { id: '4', group: 'y', tokens: [2] },
    { id: '5', group: 'x', tokens: [3], reward: 1, state: 'cancelled' },
    { id: '6', group: 'x', tokens: [4], reward: 1, state: 'aborted' },
    { id: '7', group: 'x', tokens: [5], reward: 1, packageDigest: 'another' },
    { id: '8', group: 'x', tokens: [], reward: 1 },
  ]);
  expect(buffer.sync(reader, 0)).toBe(false);
  expect(contents(buffer)).toEqual(['x 1 0.5', 'x 2 1', 'y 1 0']);
  expect(buffer.ledger.fresh).toBe(3);
  expect(buffer.scoresSeen).toBe(7);
  expect(buffer.sequence).toBe(reader.lastSequence());
});

test('replaced, retracted and late scores are followed', async () => {
  const { add, store, reader } = await openExperience();
  const buffer = newBuffer();
  await add([
    { id: '1', tokens: [1], reward: 0.5 },
    { id: '2', tokens: [2] },
  ]);
  buffer.sync(reader, 0);
  expect(contents(buffer)).toEqual(['g 1 0.5']);
  await store.write([scoreWrite('1', 1), scoreWrite('2', 0.25)]);
  buffer.sync(reader, 0);
  expect(contents(buffer)).toEqual(['g 1 1', 'g 2 0.25']);
  await store.write([scoreWrite('1', null)]);
  buffer.sync(reader, 0);
  expect(contents(buffer)).toEqual(['g 2 0.25']);
  await store.write([scoreWrite('2', null)]);
  buffer.sync(reader, 0);
  expect(buffer.groups.size).toBe(0);
});

test('a score that came before its generation had finished counts once the generation has finished', async () => {
  const { store, reader } = await openExperience();
  const { admission, completion } = await import('../../../support/replay/records.js');
  const buffer = newBuffer();
  await store.admit([admission('1', { version: 0 })]);
  await store.write([scoreWrite('1', 1)]);
  buffer.sync(reader, 0);
  expect(buffer.size).toBe(0);
  await store.complete([completion('1')]);
  buffer.sync(reader, 0);
  expect(buffer.size).toBe(1);
});

test('identical completions of a prompt are one member with their mean reward', async () => {
  const { add, store, reader } = await openExperience();
  const buffer = newBuffer();
  await add([
    { id: '1', tokens: [7, 8], reward: 1 },
    { id: '2', tokens: [7, 8], reward: 0.5 },
    { id: '3', tokens: [78], reward: 0 },
  ]);
  buffer.sync(reader, 0);
  expect(contents(buffer)).toEqual(['g 7,8 0.75', 'g 78 0']);
  await store.write([scoreWrite('1', null)]);
  buffer.sync(reader, 0);
  expect(contents(buffer)).toEqual(['g 7,8 0.5', 'g 78 0']);
});

test('completions of versions that are too old are left out and forgotten', async () => {
  const { add, reader } = await openExperience();
  const buffer = newBuffer();
  await add([0, 1, 2, 3].map((version) => ({ id: `${version}`, tokens: [version], reward: 1, version })));
  buffer.sync(reader, 4);
  expect(contents(buffer)).toEqual(['g 1 1', 'g 2 1', 'g 3 1']);
  buffer.forgetStale(6);
  expect(contents(buffer)).toEqual(['g 3 1']);
});

test('held-out prompts never enter, and the share holds over many prompts', async () => {
  const { add, reader } = await openExperience();
  const keys = Array.from({ length: 400 }, (_, i) => `prompt ${i}`);
  const held = keys.filter((key) => isHeldOut(key, 0.2));
  expect(held.length).toBeGreaterThan(50);
  expect(held.length).toBeLessThan(110);
  expect(keys.filter((key) => isHeldOut(key, 0))).toEqual([]);
  expect(keys.filter((key) => isHeldOut(key, 1))).toEqual(keys);
  const buffer = newBuffer({ holdoutShare: 0.2 });
  await add(keys.map((group, i) => ({ id: `${i}`, group, reward: 1 })));
  buffer.sync(reader, 0);
  expect(buffer.groups.size).toBe(keys.length - held.length);
  for (const key of held) expect(buffer.groups.has(key)).toBe(false);
});

test('the store is read in bounded pages and the least recently scored go first when there are too many', async () => {
  const { add, reader } = await openExperience();
  const buffer = newBuffer({ maxEntries: 100 });
  await add(Array.from({ length: 700 }, (_, i) => ({ id: `${i}`, group: `p${i}`, reward: 1 })));
  expect(buffer.sync(reader, 0, 1)).toBe(true);
  expect(buffer.sequence).toBe(512);
  while (buffer.sync(reader, 0, 1));
  expect(buffer.sequence).toBe(1400);
  expect(buffer.size).toBe(100);
  expect([...buffer.groups.keys()]).toEqual(Array.from({ length: 100 }, (_, i) => `p${600 + i}`));
});

test('a rebuilt buffer knows what earlier rounds have used and read', async () => {
  const { add, reader, store } = await openExperience();
  const first = newBuffer();
  await add([
    { id: '1', tokens: [1], reward: 1 },
    { id: '2', tokens: [2], reward: 0 },
  ]);
  first.sync(reader, 0);
  expect(first.beginRound()).toBe(2);
  for (const member of first.groups.get('g')?.members.values() ?? []) member.uses = member.reward === 1 ? 3 : 0;
  await add([{ id: '3', tokens: [3], reward: 1 }]);
  const again = newBuffer({ restored: { uses: first.uses() }, since: first.ledger.since });
  again.sync(reader, 0);
  expect(again.ledger.fresh).toBe(1);
  expect([...(again.groups.get('g')?.members.values() ?? [])].map((m) => m.uses)).toEqual([3, 0, 0]);
  await store.write([scoreWrite('1', 0.5)]);
  again.sync(reader, 0);
  expect([...(again.groups.get('g')?.members.values() ?? [])].map((m) => m.uses)).toEqual([0, 0, 0]);
  expect(again.ledger.fresh).toBe(2);
});

test('a completion that waits for a metric is left out until the window has closed, and then takes the default', async () => {
  const { add, store, reader } = await openExperience();
  await add([
    { id: '1', tokens: [1], reward: 1 },
    { id: '2', tokens: [2] },
  ]);
  const [ended] = await store.readGenerations(['1']);
  const end = ended?.finishedAtMs ?? 0;
  const reward = checkRewardSettings({ metrics: { click: { windowMs: 1000, default: 0 } } });
  const waiting = newBuffer({ reward, now: () => end + 999 });
  waiting.sync(reader, 0);
  expect(contents(waiting)).toEqual([]);
  const due = newBuffer({ reward, now: () => end + 1000 });
  due.sync(reader, 0);
  expect(contents(due)).toEqual(['g 1 0.5', 'g 2 0']);
});

test('a round that went out of bounds gives its completions back once, also after a restart', async () => {
  const { add, reader } = await openExperience();
  await add([{ id: '1', tokens: [1], reward: 1 }]);
  const buffer = newBuffer();
  buffer.sync(reader, 0);
  const [member] = [...buffer.entries.values()];
  if (member === undefined) throw new Error('the buffer is empty');
  member.uses = 3;
  buffer.ledger.giveBack(['1']);
  expect(member.uses).toBe(0);
  member.uses = 3;
  buffer.ledger.giveBack(['1']);
  expect(member.uses).toBe(3);
  const again = newBuffer({ restored: { uses: buffer.uses() }, givenBack: buffer.ledger.givenBack() });
  again.sync(reader, 0);
  again.ledger.giveBack(['1']);
  expect([...again.uses()]).toEqual([['1', 3]]);
});

test('a window that closed while no learner ran makes its completion fresh for the next learner', async () => {
  const { add, reader } = await openExperience();
  const reward = checkRewardSettings({ metrics: { click: { windowMs: 1000, default: 0 } } });
  await add([{ id: '1', tokens: [1], finishedAtMs: 5000 }]);
  const before = newBuffer({ reward, now: () => 5500 });
  before.sync(reader, 0);
  before.beginRound();
  expect(before.pending.ids()).toEqual(['1']);
  const after = newBuffer({ reward, now: () => 9000, since: before.ledger.since, pending: before.pending.ids() });
  after.sync(reader, 0);
  expect(contents(after)).toEqual(['g 1 0']);
  expect(after.ledger.fresh).toBe(1);
  const known = newBuffer({ reward, now: () => 9000, since: before.ledger.since });
  known.sync(reader, 0);
  expect(known.ledger.fresh).toBe(0);
});

test('a comparison does not make the scores of its completions fresh', async () => {
  const { add, store, reader } = await openExperience();
  await add([
    { id: 'a', tokens: [1], reward: 1 },
    { id: 'b', tokens: [2], reward: 0 },
  ]);
  const first = newBuffer();
  first.sync(reader, 0);
  first.beginRound();
  for (const member of first.entries.values()) member.uses = 2;
  const {
    sequence: upTo,
    ledger: { since },
  } = first;
  await store.write([preferenceWrite('a', 'b', 'better')]);
  const next = newBuffer({ restored: { uses: first.uses(), upTo }, since });
  next.sync(reader, 0);
  first.sync(reader, 0);
  expect(next.ledger.fresh).toBe(2);
  expect([...next.uses()]).toEqual([...first.uses()]);
  expect(next.groups.get('g')?.sequence).toBe(first.groups.get('g')?.sequence);
});

test('a scored generation that the package cannot hold is set aside with the reason, and the others are held', async () => {
  const { add, reader } = await openExperience();
  const setAside = new SetAside('', 'package');
  const buffer = newBuffer({ decoder: { vocabularySize: 4, contextLength: 6 }, setAside });
  await add([
    { id: '1', tokens: [3], reward: 1 },
    { id: '2', tokens: [4], reward: 1 },
    { id: '3', tokens: [3, 3, 3, 3, 3, 3], reward: 0 },
    // Nobody scored it, so nothing is lost.
    { id: '4', tokens: [5] },
    { id: '5', tokens: [5], reward: 1, packageDigest: 'another' },
  ]);
  buffer.sync(reader, 0);
  expect(contents(buffer)).toEqual(['g 3 1']);
  expect(setAside.counts).toEqual({ unfit: 2, too_large: 0, broke: 0 });
  expect(setAside.takeNews()).toMatchObject([
    { generationId: '2', cause: 'unfit', reason: expect.stringContaining('token 0 is 4') },
    { generationId: '3', cause: 'unfit', reason: expect.stringContaining('7 tokens') },
  ]);
  expect(setAside.takeNews()).toEqual([]);
});

test('a completion that exceeds the memory of the learner is set aside, with the pair that it is in', async () => {
  const { add, store, reader } = await openExperience();
  const setAside = new SetAside('', 'package');
  const buffer = newBuffer({ setAside, holds: (prompt, completion) => prompt + completion <= 3 });
  await add([
    { id: '1', tokens: [1, 1], reward: 1 },
    { id: '2', tokens: [1, 1, 1] },
  ]);
  await store.write([preferenceWrite('1', '2', 'better')]);
  buffer.sync(reader, 0);
  expect(contents(buffer)).toEqual(['g 1,1 1']);
  expect(setAside.takeNews()).toMatchObject([
    { generationId: '2', cause: 'too_large', reason: expect.stringContaining('--learner-memory') },
  ]);
});

test('the entries held are bounded in bytes, too', async () => {
  const { add, reader } = await openExperience();
  const samples = Array.from({ length: 20 }, (_, i) => ({
    id: `${i}`,
    tokens: [i, ...new Array(99).fill(1)],
    reward: 1,
  }));
  await add(samples);
  const all = newBuffer();
  all.sync(reader, 0);
  expect(all.size).toBe(20);
  const buffer = newBuffer({ maxBytes: 10_000 });
  buffer.sync(reader, 0);
  expect(buffer.size).toBeGreaterThan(2);
  expect(buffer.size).toBeLessThan(8);
  expect([...buffer.entries.keys()].at(-1)).toBe('19');
});
