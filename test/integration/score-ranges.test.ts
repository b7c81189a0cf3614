/** Scores on the scale of their metric: the first example of docs/feedback.md as it is written, and what is refused. */

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { hone, honeWithInput } from '../support/command.js';
import { temporaryFolder } from '../support/folders.js';
import { runPiped } from '../support/processes.js';
import { projectFolder, startServer } from '../support/server.js';

const page = readFileSync(join(projectFolder, 'docs/feedback.md'), 'utf8');

/** The first block of a language on the page. */
function firstBlock(language: string): string {
  const [, block] = new RegExp(`\`\`\`${language}\n([\\s\\S]*?)\`\`\``).exec(page) ?? [];
  if (block === undefined) throw new Error(`docs/feedback.md has no block of ${language}`);
  return block;
}

/** Writes the file with the ranges, as the page says, and returns the flags that it names. */
function starsSettings(folder: string): string[] {
  const [, file = ''] = /npm start -- --reward-settings (\S+)/.exec(firstBlock('sh')) ?? [];
  expect(page).toContain(`here \`${file}\``);
  writeFileSync(join(folder, file), firstBlock('json'));
  return ['--reward-settings', join(folder, file)];
}

it('the first example of the page on feedback stores four stars, a preference and an edit, and four stars are worth 0.75', async () => {
  const folder = temporaryFolder();
  await using server = await startServer({ args: starsSettings(folder) });
  const program = join(folder, 'example.mjs');
  const client = new URL('../../client/index.js', import.meta.url).href;
  const example = firstBlock('ts')
    .replace("'hone-agent/client'", JSON.stringify(client))
    .replace('connect()', `connect({ address: '${server.ready.address}' })`);
  writeFileSync(program, `${example}\nhone.close();\n`);
  const { code, out, err } = await runPiped(program, []);
  expect(code, err).toBe(0);
  expect(out).toMatch(/metric: 'stars'/);
  expect(out).toMatch(/reward: 0\.75/);
  const status = await (await server.connect()).status();
  expect(status.replay).toMatchObject({ scores: 2, preferences: 1, edits: 1 });
  expect(status.scoresOutsideRange).toEqual([]);
});

it('the rewards of one to five stars are as far apart as the stars', async () => {
  await using server = await startServer({ args: starsSettings(temporaryFolder()) });
  const client = await server.connect();
  const { completions } = await client.generate({ prompt: 'a', n: 5, maxTokens: 8 });
  await client.feedback(completions.map(({ generationId }, i) => ({ generationId, score: i + 1, metric: 'stars' })));
  const explained = await Promise.all(completions.map(({ generationId }) => client.explain(generationId)));
  expect(explained.map(({ reward }) => reward)).toEqual([0, 0.25, 0.5, 0.75, 1]);
});

it('a score outside the range is refused on every way in, with the metric, the range and what to do', async () => {
  await using server = await startServer();
  const client = await server.connect();
  const { completions } = await client.generate({ prompt: 'a', n: 1, maxTokens: 4 });
  const id = completions[0]?.generationId ?? '';
  const rule =
    'must be from 0 to 1, the range of the metric "score", got 8; to set another range, start the server with --reward-settings';
  await expect(client.feedback({ generationId: id, score: 8 })).rejects.toMatchObject({
    code: 'INVALID_REQUEST',
    message: expect.stringContaining(rule),
  });
  const stream = client.feedbackStream();
  const refused = await stream.send({ generationId: id, edit: 'better', score: 8 });
  await stream.close();
  expect(refused).toMatchObject({ status: 'refused', error: { message: expect.stringContaining(rule) } });

  const command = await hone(server.ready.address, 'feedback', id, '8');
  expect(command).toMatchObject({ code: 4, err: expect.stringContaining(rule) });
  const lines = await honeWithInput(server.ready.address, `{"generationId":"${id}","score":8}\n`, 'feedback');
  expect(lines).toMatchObject({ code: 4, err: expect.stringContaining(rule) });
  expect((await client.getGeneration(id)).scores).toEqual([]);
});

it('scores that other settings made possible do not count after a change of the range, and the server reports them', async () => {
  const data = temporaryFolder();
  const first = await startServer({ data, args: starsSettings(data) });
  const before = await first.connect();
  const { completions } = await before.generate({ prompt: 'a', n: 1, maxTokens: 4 });
  const id = completions[0]?.generationId ?? '';
  await before.feedback({ generationId: id, score: 4, metric: 'stars' });
  expect((await before.explain(id)).reward).toBe(0.75);
  await first.stop();

  await using second = await startServer({ data });
  const client = await second.connect();
  expect((await client.status()).scoresOutsideRange).toEqual([
    { metric: 'stars', scores: 1, smallest: 4, largest: 4, lowest: 0, highest: 1 },
  ]);
  const explained = await client.explain(id);
  expect(explained.reward).toBeUndefined();
  const { out } = await hone(second.ready.address, 'status');
  expect(out).toContain('1 scores on stars do not count: they were stored outside its range, 0 to 1');
  expect((await hone(second.ready.address, 'explain', id)).out).toContain(
    'ignored, it is outside the range of the metric',
  );
});
