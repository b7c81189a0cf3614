/** The `hone` command as people and scripts see it: output, exit codes and error messages. The server is scripted. */

import type { ServerDuplexStream, ServerUnaryCall, ServerWritableStream, sendUnaryData } from '@grpc/grpc-js';
import { afterEach, describe, expect, it } from 'vitest';
import { honeCommand } from '../../support/command.js';
import { type Ended, runPiped, startPiped } from '../../support/processes.js';
import {
  richError,
  richStatus,
  type Script,
  type ScriptedServer,
  startScriptedServer,
} from '../../support/scripted-server.js';

let server: ScriptedServer | undefined;
afterEach(() => {
  server?.close();
  server = undefined;
});

/** Runs the command against the scripted server of the test, or without a server. */
async function hone(args: readonly string[], input = ''): Promise<Ended> {
  const env = { ...process.env, HONE_ADDRESS: server?.address ?? '127.0.0.1:1', HONE_TOKEN: '' };
  return runPiped(honeCommand, args, env, input);
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
  it('prints help for the command and for each subcommand', async () => {
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
    for (const name of names) expect(overview.out).toContain(`  ${name} `);
    expect(await hone([])).toEqual(overview);
    const helps = await Promise.all(names.map((name) => hone([name, '--help'])));
    for (const [index, help] of helps.entries()) {
      expect(help.code).toBe(0);
      expect(help.out).toContain(`Usage: hone ${names[index]}`);
      expect(help.out).toContain('--json');
    }
  });

  it('ends with code 2 if the arguments are wrong', async () => {
    const wrong = [
      ['nonsense'],
      ['generate', '--n', 'x'],
      ['rollback'],
      ['rollback', '-1'],
      ['status', '--timeout', '0'],
      ['feedback', 'id', 'good'],
    ];
    const runs = await Promise.all(wrong.map((args) => hone(args)));
    for (const [index, run] of runs.entries()) expect(run, wrong[index]?.join(' ')).toMatchObject({ code: 2, out: '' });
    expect(await hone(['feedback', 'id'])).toMatchObject({ code: 2 });
    expect(await hone(['serve', '--package', '/nowhere'])).toMatchObject({ code: 2 });
  });

  it('explains how to start a server if none answers, and ends with code 3', async () => {
    const run = await hone(['status']);
    expect(run.code).toBe(3);
    expect(run.err).toContain('no Hone server answers at 127.0.0.1:1');
    expect(run.err).toContain('npm run hone -- serve');
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

  it('writes the text to standard output and the id to standard error', async () => {
    await start({ generation: { StreamGenerate: stream } });
    const run = await hone(['generate'], 'from a pipe\n');
    expect(run).toMatchObject({ code: 0, out: 'ROLE_USER: from a pipe\n' });
    expect(run.err).toContain(`hone -- feedback ${id} 0.8`);
  });

  it('writes several completions in their order, whichever ends first', async () => {
    const StreamGenerate = (call: ServerWritableStream<object, object>): void => {
      call.write({ started: { generationIds: [id, `${id.slice(0, -1)}2`], version: 2 } });
      call.write({ chunks: [{ index: 1, text: 'second' }], finished: [{ index: 1, reason: 'FINISH_REASON_STOP' }] });
      call.write({ chunks: [{ index: 0, text: 'first' }], finished: [{ index: 0, reason: 'FINISH_REASON_STOP' }] });
      call.write({ usage: { completionTokens: 2 } });
      call.end();
    };
    await start({ generation: { StreamGenerate } });
    expect((await hone(['generate', 'hi', '-n', '2'])).out).toBe('[1] first\n\n[2] second\n\n');
  });

  it('reports that --timeout was too short, and ends with code 3', async () => {
    await start({ generation: { StreamGenerate: () => undefined } });
    const run = await hone(['generate', 'hi', '--timeout', '0.2']);
    expect(run).toMatchObject({ code: 3, out: '' });
    expect(run.err).toBe(
      'hone: the answer did not come in time: the deadline has passed\nAllow more time with --timeout.\n',
    );
  });

  it('ends with code 0 and no message if its reader closes the pipe', async () => {
    await start({ generation: { StreamGenerate: stream } });
    const env = { ...process.env, HONE_ADDRESS: server?.address };
    const child = startPiped(honeCommand, ['generate', 'hi', '--json'], env);
    child.stdout.destroy();
    let stderr = '';
    child.stderr.on('data', (piece: Buffer) => {
      stderr += piece;
    });
    expect(await new Promise((resolve) => child.once('close', resolve))).toBe(0);
    expect(stderr).toBe('');
  });

  it('writes the whole result as one line with --json, and one line per event with --stream', async () => {
    await start({ generation: { StreamGenerate: stream } });
    const run = await hone(['generate', 'hi', '--json']);
    const tokens = { tokenIds: [], logprobs: [], sampledLogprobs: [], topLogprobs: [] };
    expect(lines(run.out)).toEqual([
      {
        version: 2,
        adapterDigest: '',
        packageDigest: '',
        completions: [{ index: 0, generationId: id, text: 'ROLE_USER: hi', finishReason: 'stop', ...tokens }],
        usage: { promptTokens: 0, completionTokens: 2, totalTokens: 0, cachedPromptTokens: 0 },
      },
    ]);
    expect(run.err).toBe('');
    const streamed = await hone(['generate', 'hi', '--json', '--stream']);
    expect(lines(streamed.out).map((event) => (event as { type: string }).type)).toEqual([
      'started',
      'chunk',
      'chunk',
      'finished',
      'usage',
    ]);
    expect(await hone(['generate', 'hi', '--stream'])).toMatchObject({ code: 2, out: '' });
  });

  it('assembles each completion with its tokens from the chunks of the stream', async () => {
    const second = `${id.slice(0, -1)}2`;
    const StreamGenerate = (call: ServerWritableStream<object, object>): void => {
      call.write({ started: { generationIds: [id, second], version: 2, adapterDigest: 'a', packageDigest: 'p' } });
      call.write({ chunks: [{ index: 1, text: 'c', tokenIds: [7], logprobs: [-1], sampledLogprobs: [-2] }] });
      call.write({
        chunks: [
          { index: 0, text: 'a', tokenIds: [1, 2], logprobs: [-3, -4] },
          { index: 1, text: 'd', tokenIds: [8], logprobs: [-5], topLogprobs: [{ tokenIds: [9], logprobs: [-6] }] },
        ],
        finished: [{ index: 1, reason: 'FINISH_REASON_LENGTH' }],
      });
      call.write({ finished: [{ index: 0, reason: 'FINISH_REASON_STOP' }], usage: { completionTokens: 4 } });
      call.end();
    };
    await start({ generation: { StreamGenerate } });
    expect(lines((await hone(['generate', 'hi', '-n', '2', '--json'])).out)).toMatchObject([
      {
        version: 2,
        adapterDigest: 'a',
        packageDigest: 'p',
        completions: [
          { generationId: id, text: 'a', finishReason: 'stop', tokenIds: [1, 2], logprobs: [-3, -4] },
          {
            generationId: second,
            text: 'cd',
            finishReason: 'length',
            tokenIds: [7, 8],
            logprobs: [-1, -5],
            sampledLogprobs: [-2],
            topLogprobs: [{ tokenIds: [9], logprobs: [-6] }],
          },
        ],
        usage: { completionTokens: 4 },
      },
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
    expect(run.err).toContain('sampling.temperature: must be 0 to 10');
  });
});

describe('hone feedback', () => {
  it('sends a score, which may be negative', async () => {
    const scores: unknown[] = [];
    const SubmitFeedback = (
      call: ServerUnaryCall<{ items: { score: number }[] }, object>,
      done: sendUnaryData<object>,
    ): void => {
      scores.push(call.request.items[0]?.score);
      done(null, { outcomes: [{ status: 'FEEDBACK_STATUS_STORED', sequence: 9 }] });
    };
    await start({ feedback: { SubmitFeedback } });
    expect(await hone(['feedback', 'id', '-0.5'])).toMatchObject({ code: 0, out: 'stored, on disk\n' });
    const json = await hone(['feedback', 'id', '1', '--json']);
    expect(lines(json.out)).toEqual([{ position: 0, status: 'stored', sequence: 9 }]);
    expect(scores).toEqual([-0.5, 1]);
  });

  it('sends lines of JSON over one stream and reports each line that was refused', async () => {
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
    expect(run).toMatchObject({ code: 4, out: '1 stored, 1 refused\n' });
    expect(run.err).toContain('line 3: no such generation');
    const wrong = await hone(['feedback'], '{"generationId":"a","score":1}\n{"score":1}\n');
    expect(wrong.code).toBe(2);
    expect(wrong.err).toContain('line 2 needs "generationId"');
    const unknown = await hone(
      ['feedback'],
      '{"generationId":"a","score":1,"ratr":"x"}\n{"generationId":"b","score":1}\n',
    );
    expect(unknown.code).toBe(2);
    expect(unknown.err).toContain('line 1: the item of feedback is invalid: ratr is not known; did you mean rater?');
  });
});

describe('hone versions show', () => {
  const version = {
    number: 4,
    state: 'VERSION_STATE_CANDIDATE',
    origin: 'VERSION_ORIGIN_LEARNED',
    adapterDigest: 'abcdef0123456789',
    parent: 3,
    metrics: { steps: 12 },
    verdict: [
      { check: 'kl', outcome: 'CHECK_OUTCOME_PASSED', detail: 'small', numbers: { nats: 1.25 } },
      { check: 'health', outcome: 'CHECK_OUTCOME_SKIPPED', detail: '3 prompts are too few', numbers: {} },
    ],
    rejectedBecause: '',
  };

  it('prints a row for every check of the gate, and the commands to decide', async () => {
    await start({ versions: { GetVersion: (_: unknown, done: sendUnaryData<object>) => done(null, { version }) } });
    const shown = await hone(['versions', 'show', '4']);
    expect(shown.out).toMatch(/^version\s+4, candidate$/m);
    expect(shown.out).toMatch(/^origin\s+learned, from version 3$/m);
    expect(shown.out).toMatch(/^kl\s+passed\s+small\s+nats 1\.25$/m);
    expect(shown.out).toMatch(/^health\s+skipped\s+3 prompts are too few$/m);
    expect(shown.out).toContain('promote 4');
    const json = await hone(['versions', 'show', '4', '--json']);
    expect(lines(json.out)).toMatchObject([
      { state: 'candidate', verdict: [{ outcome: 'passed' }, { outcome: 'skipped' }] },
    ]);
  });

  it('prints why a version was rejected', async () => {
    const rejected = { ...version, state: 'VERSION_STATE_REJECTED', verdict: [], rejectedBecause: 'kl: too far' };
    await start({
      versions: { GetVersion: (_: unknown, done: sendUnaryData<object>) => done(null, { version: rejected }) },
    });
    const { out } = await hone(['versions', 'show', '4']);
    expect(out).toMatch(/^rejected\s+kl: too far$/m);
    expect(out).toMatch(/^gate\s+not judged$/m);
    expect(out).not.toContain('promote');
  });
});

describe('hone mode', () => {
  const rollout = {
    mode: 'MODE_CANARY',
    waiting: 6,
    trial: {
      version: 5,
      startedAtMs: Date.now(),
      share: 0.1,
      answers: 31,
      canary: {
        live: { rewards: 200, meanReward: 0.5 },
        candidate: { rewards: 0 },
        logEvidenceWorse: 0.5,
        logEvidenceNotWorse: -0.25,
        logEvidenceNeeded: 2.9957,
        margin: 0.05,
        minimumRewards: 50,
        endsAtMs: Date.now() + 3_600_000,
      },
    },
  };

  it('prints the mode and the state of the canary, and sets the mode', async () => {
    const set: unknown[] = [];
    await start({
      admin: {
        GetMode: (_: unknown, done: sendUnaryData<object>) => done(null, { rollout }),
        SetMode: (call: ServerUnaryCall<object, object>, done: sendUnaryData<object>) => {
          set.push(call.request);
          done(null, { rollout: { mode: 'MODE_AUTO' } });
        },
      },
    });
    const { out } = await hone(['mode']);
    expect(out).toMatch(/^mode\s+canary: /m);
    expect(out).toMatch(/^waiting\s+version 6$/m);
    expect(out).toMatch(/^canary\s+version 5 for \d+ s, 10 % of requests, 31 answers$/m);
    expect(out).toContain('candidate no reward yet, live 0.500 over 200');
    expect(out).toContain('decides at 3.00): worse 0.50, not worse by more than 0.05 -0.25');
    expect(out).toContain('promoted after 50 more rewards at the earliest');
    expect(lines((await hone(['mode', '--json'])).out)).toMatchObject([{ mode: 'canary', trial: { version: 5 } }]);
    expect((await hone(['mode', 'auto'])).out).toMatch(/^mode\s+auto: /);
    expect(set).toEqual([{ mode: 'MODE_AUTO' }]);
    for (const wrong of ['autopilot', 'unknown']) expect((await hone(['mode', wrong])).code).toBe(2);
  });
});

describe('hone status', () => {
  it('says that the learner and the gate starve, how little they get, and what to do', async () => {
    const answer = {
      live: {},
      serving: {},
      replay: {},
      exploration: {},
      reward: { defaultMetric: { max: 1, weight: 1 } },
      learner: {
        state: 'LEARNER_STATE_TRAINING',
        engine: 'onnx on cpu',
        buffer: {},
        processorShare: 0.0812,
        starvedBecause: 'training gets 8 % of a core; leave it a core',
      },
      rollout: {
        mode: 'MODE_AUTO',
        judging: 6,
        judgingShare: 0.05,
        judgingStarvedBecause: 'the gate gets 5 % of the runs; send fewer requests',
      },
    };
    await start({ status: { GetServerStatus: (_: unknown, done: sendUnaryData<object>) => done(null, answer) } });
    const { out } = await hone(['status']);
    expect(out).toMatch(/^learner\s+training, but gets 8\.12 % of a core \(onnx on cpu\), /m);
    expect(out).toMatch(/^\s+training gets 8 % of a core; leave it a core$/m);
    expect(out).toMatch(/^judging\s+version 6, with 5 % of the model's runs$/m);
    expect(out).toMatch(/^\s+the gate gets 5 % of the runs; send fewer requests$/m);
    expect(lines((await hone(['status', '--json'])).out)).toMatchObject([
      { learner: { starvedBecause: answer.learner.starvedBecause }, rollout: { judgingShare: 0.05 } },
    ]);
  });
});

describe('hone promote and hone reject', () => {
  it('print the new state of the version, and send the reason to the server', async () => {
    const asked: unknown[] = [];
    const answer = (version: object) => (call: ServerUnaryCall<object, object>, done: sendUnaryData<object>) => {
      asked.push(call.request);
      done(null, { version });
    };
    await start({
      admin: {
        PromoteVersion: answer({ number: 5, state: 'VERSION_STATE_LIVE', adapterDigest: 'abcdef0123456789' }),
        RejectVersion: answer({ number: 6, state: 'VERSION_STATE_REJECTED', rejectedBecause: 'too curt' }),
      },
    });
    expect((await hone(['promote', '5'])).out).toContain('version 5 is live (abcdef012345)');
    expect((await hone(['reject', '6', '--reason', 'too curt'])).out).toBe('version 6 is rejected: too curt\n');
    expect(asked).toEqual([{ number: 5 }, { number: 6, reason: 'too curt' }]);
  });
});

describe('hone versions', () => {
  it('lists the versions as a table or as lines of JSON, up to the limit', async () => {
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
    expect(table.out.trim().split('\n')).toHaveLength(4);
    expect(table.out).toMatch(/^version .* adapter\s+steps\s+scores\s+reward\s+KL\s+loss$/m);
    expect(table.out).toMatch(/^ +0 .* 0\.500\s+0\.00$/m);
    expect(table.out).toMatch(/2\s+live\s+learned.*abcdef012345\s+1200\s+0\.520\s+2\.00$/m);
    const json = await hone(['versions', '--json', '--limit', '1']);
    expect(lines(json.out)).toMatchObject([{ number: 2, state: 'live', metrics: { mean_reward: 0.52 } }]);
  });
});
