/** The `hone` command as people and scripts meet it: output, exit codes, what it says when something is wrong. */

import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { ServerDuplexStream, ServerUnaryCall, ServerWritableStream, sendUnaryData } from '@grpc/grpc-js';
import { afterEach, describe, expect, it } from 'vitest';
import { richError, richStatus, type Script, type ScriptedServer, startScriptedServer } from './scripted-server.js';

const main = fileURLToPath(new URL('../../../client/cli/main.js', import.meta.url));

let server: ScriptedServer | undefined;
afterEach(() => {
  server?.close();
  server = undefined;
});

interface Run {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the command; against the scripted server of the test, if it has one. */
async function hone(args: readonly string[], input = ''): Promise<Run> {
  const env = { ...process.env, HONE_ADDRESS: server?.address ?? '127.0.0.1:1', HONE_TOKEN: '' };
  const child = spawn(process.execPath, [main, ...args], { env, stdio: 'pipe' });
  child.stdin.end(input);
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (piece: Buffer) => {
    stdout += piece;
  });
  child.stderr.on('data', (piece: Buffer) => {
    stderr += piece;
  });
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { code, stdout, stderr };
}

async function start(script: Script): Promise<void> {
  server = await startScriptedServer(script);
}

const lines = (text: string): unknown[] =>
  text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as unknown);

describe('usage', () => {
  it('help is there for the command and for each subcommand', async () => {
    const names = [
      'serve',
      'generate',
      'feedback',
      'prefer',
      'edit',
      'explain',
      'status',
      'versions',
      'rollback',
      'demo',
    ];
    const overview = await hone(['--help']);
    expect(overview.code).toBe(0);
    for (const name of names) expect(overview.stdout).toContain(`  ${name} `);
    const helps = await Promise.all(names.map((name) => hone([name, '--help'])));
    for (const [index, help] of helps.entries()) {
      expect(help.code).toBe(0);
      expect(help.stdout).toContain(`Usage: hone ${names[index]}`);
      expect(help.stdout).toContain('--json');
    }
  });

  it('what makes no sense ends with code 2', async () => {
    const wrong = [
      ['nonsense'],
      ['generate', '--n', 'x'],
      ['rollback'],
      ['rollback', '-1'],
      ['status', '--timeout', '0'],
      ['feedback', 'id', 'good'],
    ];
    const runs = await Promise.all(wrong.map((args) => hone(args)));
    for (const [index, run] of runs.entries())
      expect(run, wrong[index]?.join(' ')).toMatchObject({ code: 2, stdout: '' });
    expect(await hone(['feedback', 'id'])).toMatchObject({ code: 2 });
    expect(await hone(['serve', '--package', '/nowhere'])).toMatchObject({ code: 2 });
  });

  it('without a server the command says how to start one and ends with code 3', async () => {
    const run = await hone(['status']);
    expect(run.code).toBe(3);
    expect(run.stderr).toContain('no Hone server answers at 127.0.0.1:1');
    expect(run.stderr).toContain('npm start');
  });
});

describe('hone generate', () => {
  const id = '0190f5a2-0000-7000-8000-000000000001';
  const stream = (call: ServerWritableStream<Record<string, unknown>, object>): void => {
    const [message] = call.request.messages as { role: string; content: string }[];
    call.write({ started: { generationIds: [id], version: 2 } });
    call.write({ chunks: [{ index: 0, text: `${message?.role}: ` }] });
    call.write({ chunks: [{ index: 0, text: message?.content }] });
    call.write({ finished: [{ index: 0, reason: 'FINISH_REASON_STOP' }] });
    call.write({ usage: { completionTokens: 2 } });
    call.end();
  };

  it('writes the text on standard output and the id beside it', async () => {
    await start({ generation: { StreamGenerate: stream } });
    const run = await hone(['generate'], 'from a pipe\n');
    expect(run).toMatchObject({ code: 0, stdout: 'ROLE_USER: from a pipe\n' });
    expect(run.stderr).toContain(`hone feedback ${id} 0.8`);
  });

  it('writes several candidates in their order, whichever ends first', async () => {
    const StreamGenerate = (call: ServerWritableStream<object, object>): void => {
      call.write({ started: { generationIds: [id, `${id.slice(0, -1)}2`], version: 2 } });
      call.write({ chunks: [{ index: 1, text: 'second' }], finished: [{ index: 1, reason: 'FINISH_REASON_STOP' }] });
      call.write({ chunks: [{ index: 0, text: 'first' }], finished: [{ index: 0, reason: 'FINISH_REASON_STOP' }] });
      call.write({ usage: { completionTokens: 2 } });
      call.end();
    };
    await start({ generation: { StreamGenerate } });
    expect((await hone(['generate', 'hi', '-n', '2'])).stdout).toBe('[1] first\n\n[2] second\n\n');
  });

  it('says in plain words that the time given was too short', async () => {
    await start({ generation: { StreamGenerate: () => undefined } });
    const run = await hone(['generate', 'hi', '--timeout', '0.2']);
    expect(run).toMatchObject({ code: 3, stdout: '' });
    expect(run.stderr).toBe(
      'hone: the answer did not come in time: the deadline has passed\nGive it more time with --timeout.\n',
    );
  });

  it('ends without a complaint when its reader has had enough', async () => {
    await start({ generation: { StreamGenerate: stream } });
    const env = { ...process.env, HONE_ADDRESS: server?.address };
    const child = spawn(process.execPath, [main, 'generate', 'hi', '--json'], { env, stdio: 'pipe' });
    child.stdout.destroy();
    let stderr = '';
    child.stderr.on('data', (piece: Buffer) => {
      stderr += piece;
    });
    expect(await new Promise((resolve) => child.once('close', resolve))).toBe(0);
    expect(stderr).toBe('');
  });

  it('writes one event a line with --json', async () => {
    await start({ generation: { StreamGenerate: stream } });
    const run = await hone(['generate', 'hi', '--json']);
    expect(lines(run.stdout).map((event) => (event as { type: string }).type)).toEqual([
      'started',
      'chunk',
      'chunk',
      'finished',
      'usage',
    ]);
  });

  it('ends with code 4 and names the field when the server refuses', async () => {
    const StreamGenerate = (call: ServerWritableStream<object, object>): void => {
      const violations = [{ field: 'sampling.temperature', description: 'must be 0 to 10' }];
      const error = { code: 'INVALID_ARGUMENT', message: 'bad', reason: 'INVALID_REQUEST', violations } as const;
      call.emit('error', richError(error) as never);
    };
    await start({ generation: { StreamGenerate } });
    const run = await hone(['generate', 'hi', '--temperature', '-1']);
    expect(run.code).toBe(4);
    expect(run.stderr).toContain('sampling.temperature: must be 0 to 10');
  });
});

describe('hone feedback', () => {
  it('scores, with a negative number too', async () => {
    const scores: unknown[] = [];
    const SubmitFeedback = (
      call: ServerUnaryCall<{ items: { score: number }[] }, object>,
      done: sendUnaryData<object>,
    ): void => {
      scores.push(call.request.items[0]?.score);
      done(null, { outcomes: [{ status: 'FEEDBACK_STATUS_STORED', sequence: 9 }] });
    };
    await start({ feedback: { SubmitFeedback } });
    expect(await hone(['feedback', 'id', '-0.5'])).toMatchObject({ code: 0, stdout: 'stored, on disk\n' });
    const json = await hone(['feedback', 'id', '1', '--json']);
    expect(lines(json.stdout)).toEqual([{ position: 0, status: 'stored', sequence: 9 }]);
    expect(scores).toEqual([-0.5, 1]);
  });

  it('sends lines of JSON over one stream and tells of each that was refused', async () => {
    const StreamFeedback = (call: ServerDuplexStream<{ items: { generationId: string }[] }, object>): void => {
      let position = 0;
      const refusal = richStatus({ code: 'NOT_FOUND', message: 'no such generation', reason: 'GENERATION_NOT_FOUND' });
      call.on('data', ({ items }: { items: { generationId: string }[] }) => {
        const outcomes = items.map(({ generationId }) => ({
          position: position++,
          ...(generationId === 'gone'
            ? { status: 'FEEDBACK_STATUS_REFUSED', error: refusal }
            : { status: 'FEEDBACK_STATUS_STORED', sequence: position }),
        }));
        call.write({ outcomes });
      });
      call.on('end', () => call.end());
    };
    await start({ feedback: { StreamFeedback } });
    const input = ['{"generationId":"a","score":1}', '', '{"generationId":"gone","score":null}'].join('\n');
    const run = await hone(['feedback'], input);
    expect(run).toMatchObject({ code: 4, stdout: '1 stored, 1 refused\n' });
    expect(run.stderr).toContain('line 3: no such generation');
    const wrong = await hone(['feedback'], '{"generationId":"a","score":1}\n{"score":1}\n');
    expect(wrong.code).toBe(2);
    expect(wrong.stderr).toContain('line 2 needs "generationId"');
  });
});

describe('hone versions', () => {
  it('lists them in a table, or one a line of JSON, no more than asked for', async () => {
    const versions = [2, 1, 0].map((number) => ({
      number,
      state: number === 2 ? 'VERSION_STATE_LIVE' : 'VERSION_STATE_RETIRED',
      origin: 'VERSION_ORIGIN_LEARNED',
      adapterDigest: 'abcdef0123456789',
      metrics: { rank: 8, scale: 2, steps: 600 * number, mean_reward: 0.5 + number / 100, kl: number - 0.001 },
    }));
    const ListVersions = (call: ServerUnaryCall<{ pageToken: string }, object>, done: sendUnaryData<object>): void => {
      const from = Number(call.request.pageToken);
      done(null, { versions: versions.slice(from, from + 2), nextPageToken: from === 0 ? '2' : '' });
    };
    await start({ versions: { ListVersions } });
    const table = await hone(['versions']);
    expect(table.stdout.trim().split('\n')).toHaveLength(4);
    expect(table.stdout).toMatch(/^version .* adapter\s+steps\s+scores\s+reward\s+KL\s+loss$/m);
    expect(table.stdout).toMatch(/^ +0 .* 0\.500\s+0\.00$/m);
    expect(table.stdout).toMatch(/2\s+live\s+learned.*abcdef012345\s+1200\s+0\.520\s+2\.00$/m);
    const json = await hone(['versions', '--json', '--limit', '1']);
    expect(lines(json.stdout)).toMatchObject([{ number: 2, state: 'live', metrics: { mean_reward: 0.52 } }]);
  });
});
