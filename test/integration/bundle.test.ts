/** The client library works in programs that are bundled into one file, in a folder without packages. */

import { execFile } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { build, type Format, stop } from 'esbuild';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { temporaryFolder } from '../support/folders.js';
import { projectFolder, startServer, type TestServer } from '../support/server.js';

/** A program of a user that makes every kind of call, gets a refusal with its details, and prints the results. */
const program = `
import { connect, HoneClientError } from 'hone-agent/client';

async function main() {
  const hone = await connect({ address: process.argv[2] });
  const { completions, version } = await hone.generate({ prompt: 'a', maxTokens: 2, n: 2 });
  const streamed = new Set();
  for await (const event of hone.stream({ prompt: 'b', maxTokens: 2 })) streamed.add(event.type);
  const items = completions.map(({ generationId }, i) => ({ generationId, score: i }));
  const outcomes = await hone.feedback(items);
  const stream = hone.feedbackStream();
  const retraction = await stream.send({ generationId: completions[0].generationId, score: null });
  await stream.close();
  const refusal = await hone.generate({ prompt: 'a', temperature: -1 }).catch((error) => error);
  const events = [];
  for await (const { sequence, type } of hone.watchEvents({ afterSequence: 0 })) {
    events.push({ sequence, type });
    break;
  }
  const versions = [];
  for await (const { number } of hone.versions()) versions.push(number);
  const explained = await hone.explain(completions[1].generationId);
  const seen = {
    version,
    streamed: [...streamed],
    outcomes: outcomes.map(({ status }) => status),
    retraction: retraction.status,
    refusal: { ...refusal.toJSON(), typed: refusal instanceof HoneClientError },
    reward: explained.reward,
    versions,
    health: await hone.health(),
    events,
  };
  console.log(JSON.stringify(seen));
  hone.close();
}

main();
`;

const run = promisify(execFile);

// The process of esbuild would run as long as this one.
afterAll(() => stop());

describe('a program bundled into one file', () => {
  let server: TestServer;
  let folder: string;
  beforeAll(async () => {
    server = await startServer();
    folder = temporaryFolder();
  });
  afterAll(async () => {
    await server[Symbol.asyncDispose]();
  });

  /** esbuild's output as ESM has no `require`, which the gRPC library calls. The page about clients gives this line for it. */
  const page = readFileSync(join(projectFolder, 'docs/clients.md'), 'utf8');
  const [, banner = ''] = /--banner:js="(.+)"/.exec(page) ?? [];

  it.each<[Format, string]>([
    ['esm', 'program.mjs'],
    ['cjs', 'program.cjs'],
  ])('makes every kind of call if it is bundled as %s', async (format, name) => {
    const outfile = join(folder, format, name);
    const { warnings } = await build({
      stdin: { contents: program, resolveDir: projectFolder, sourcefile: 'program.mjs' },
      bundle: true,
      minify: true,
      platform: 'node',
      format,
      outfile,
      logLevel: 'silent',
      banner: format === 'esm' ? { js: banner } : {},
    });
    expect(warnings).toEqual([]);
    expect(readdirSync(join(folder, format))).toEqual([name]);
    const { stdout, stderr } = await run(process.execPath, [outfile, server.ready.address], {
      cwd: join(folder, format),
      env: {},
    });
    expect(stderr).toBe('');
    expect(JSON.parse(stdout)).toMatchObject({
      version: 0,
      streamed: ['started', 'chunk', 'finished', 'usage'],
      outcomes: ['stored', 'stored'],
      retraction: 'retracted',
      reward: 1,
      refusal: {
        typed: true,
        code: 'INVALID_REQUEST',
        status: 'INVALID_ARGUMENT',
        violations: [{ field: 'sampling.temperature' }],
      },
      versions: [0],
      health: 'serving',
      events: [{ sequence: 1 }],
    });
  });
});
