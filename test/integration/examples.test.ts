/** Each program of `examples/` runs as its README says, against a real server, and prints what happened. */

import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { HoneClient } from '../../client/index.js';
import { peftFolder } from '../oracles/fixture.js';
import { type Ended, runPiped, startPiped } from '../support/processes.js';
import { projectFolder, startServer, type TestServer } from '../support/server.js';

const examples = join(projectFolder, 'examples');

let server: TestServer;
let client: HoneClient;
beforeAll(async () => {
  server = await startServer({ args: ['--adapters', 'on', '--reward-function', join(examples, 'judge.ts')] });
  client = await server.connect();
});
afterAll(() => server[Symbol.asyncDispose]());

/** Runs the TypeScript file itself, as the README does, with lines on standard input. */
async function run(file: string, args: readonly string[] = [], input = '', address = server.ready.address) {
  return runPiped(join(examples, file), args, { ...process.env, HONE_ADDRESS: address }, input);
}

async function output(running: Promise<Ended>): Promise<string> {
  const { code, out, err } = await running;
  expect(code, err).toBe(0);
  return out;
}

describe('chat.ts', () => {
  it.each([
    ['+', 1],
    ['-', 0],
  ])('streams an answer and stores the thumb %s as the score %d', async (thumb, score) => {
    const before = await client.status();
    const out = await output(run('chat.ts', [], `A coat?\n${thumb}\n\n`));
    expect(out).toMatch(/^you> version 0> /);
    expect(out).toContain(`score ${score}: stored`);
    expect(out).toContain('Version 0 serves.');
    const { replay } = await client.status();
    expect(replay.generations).toBe(before.replay.generations + 1);
  });

  it('gives no score when the thumb is left out, and ends when its input ends', async () => {
    const out = await output(run('chat.ts', [], 'A coat?\n\n'));
    expect(out).not.toContain('stored');
    expect(out).toContain('Version 0 serves.');
  });

  it('ends at an empty message, though its input stays open', async () => {
    const child = startPiped(join(examples, 'chat.ts'), [], { ...process.env, HONE_ADDRESS: server.ready.address });
    const ended = once(child, 'exit');
    child.stdin.write('\n');
    expect(await ended).toEqual([0, null]);
  });

  it('begins a new conversation when the old one is longer than the context', async () => {
    const out = await output(run('chat.ts', [], `${'a coat and a hat '.repeat(40)}\nA coat?\n+\n`));
    expect(out).toMatch(/A new one begins[\s\S]*score 1: stored/);
  });
});

describe('own-judge.ts', () => {
  it('prints the scores that the server got from the reward function', async () => {
    const out = await output(run('own-judge.ts', ['2']));
    expect(out).toContain('The judge is function:judge');
    expect(out).toMatch(/turn 1: version 0 scored 0\.\d\d on average\nturn 2: version 0 scored 0\.\d\d on average/);
  });

  it('names the command that starts a server with a judge when this server has none', async () => {
    await using without = await startServer();
    const { code, err } = await run('own-judge.ts', ['1'], '', without.ready.address);
    expect(code).toBe(1);
    expect(err).toContain('--reward-function examples/judge.ts');
  });
});

describe('pairs.ts', () => {
  it('stores a preference for each comparison and explains the last', async () => {
    const before = await client.status();
    const out = await output(run('pairs.ts', ['3']));
    expect(out.match(/^comparison \d: \d+ against \d+ characters(, a tie)?: stored$/gm)).toHaveLength(3);
    expect(out).toMatch(/The last completion that was preferred: (better|tie), by shorter\./);
    expect((await client.status()).replay.preferences).toBe(before.replay.preferences + 3);
  });
});

describe('peft.ts', () => {
  it('brings an adapter of PEFT in, prints the verdict, and shows what changed', async () => {
    const out = await output(run('peft.ts', [join(peftFolder, 'named')]));
    expect(out).toContain('version 1 is a candidate, of rank 5');
    expect(out).toMatch(/^ {2}finite: passed/m);
    expect(out).toContain('version 1 is live');
    const [before, after] = ['before', 'after'].map((when) => new RegExp(`^${when}: +(".*")$`, 'm').exec(out)?.[1]);
    expect(before).toBeDefined();
    expect(after).toBeDefined();
    expect(after).not.toBe(before);
    expect((await client.status()).live).toMatchObject({ number: 1, origin: 'imported' });
  });

  it('says how it is called when no folder is named', async () => {
    const { code, err } = await run('peft.ts');
    expect(code).toBe(2);
    expect(err).toContain('node examples/peft.ts <folder>');
  });
});

it('the README lists every program', () => {
  const programs = readdirSync(examples).filter((name) => name.endsWith('.ts'));
  const page = readFileSync(join(examples, 'README.md'), 'utf8');
  expect(programs.length).toBeGreaterThan(4);
  for (const name of programs) expect(page).toContain(`\`${name}\``);
});
