import pino from 'pino';
import { describe, expect, it } from 'vitest';
import { HumanLog } from '../../../server/human-log.js';
import { openLog } from '../../../server/log.js';
import { hostile, unprintable } from '../../support/hostile.js';

/** A log of pino and the lines that HumanLog makes of it, without the time of day. */
function humanLog(level = 'info') {
  const human = new HumanLog();
  const lines: string[] = [];
  const write = (json: string): void => {
    const line = human.line(json);
    if (line === null) return;
    expect(line).toMatch(/^\d\d:\d\d:\d\dZ {2}[^\n]+\n$/);
    lines.push(line.slice(11, -1));
  };
  return { log: pino({ level, base: { pid: 1 } }, { write }), lines };
}

describe('the log at a terminal', () => {
  it('has a line with the learner\u2019s figures when a version goes live, and none when it is created', () => {
    const { log, lines } = humanLog();
    const numbers = { steps: 6, scores_seen: 24, mean_reward: 0.375, kl: -0.000001 };
    log.info({ version: 1, numbers }, 'version_created');
    log.info({ version: 1, detail: 'passed kl', numbers: { passed: 1 } }, 'version_judged');
    log.info({ version: 1, numbers: { duration_ms: 12 } }, 'version_promoted');
    log.info({ version: 2, detail: 'by a person' }, 'version_promoted');
    expect(lines).toEqual([
      'version 1 is live: 24 scores so far, mean reward 0.38 in its round, KL 0.00',
      'version 2 is live (by a person)',
    ]);
  });

  it('has a short line for rejections, rollbacks and failures', () => {
    const { log, lines } = humanLog();
    log.warn(
      { version: 3, detail: 'kl: 12.30 nats per completion from the reference, above the bound of 10' },
      'version_rejected',
    );
    log.warn({ detail: 'the adapter of the learner is not a version: ADAPTER_INVALID: torn' }, 'version_failed');
    log.warn({ version: 3, detail: 'its rejection was not recorded' }, 'version_failed');
    log.info({ version: 4, detail: 'serves the weights of version 1' }, 'version_rolled_back');
    log.warn({ detail: `learner: WORKER_CRASHED: the learner ended\n${'stack '.repeat(100)}` }, 'worker_restarted');
    log.warn({ version: 4, detail: 'a round went out of bounds' }, 'learner_setback');
    log.warn({ detail: 'training gets 6 % of a core' }, 'learner_starved');
    log.warn({ version: 4, detail: 'the gate gets 5 % of the runs of the model' }, 'gate_starved');
    log.info({ detail: 'gate: 96 completions so far' }, 'starvation_ended');
    log.warn({ detail: 'STORE_FULL: the disk is full' }, 'store_failed');
    log.info({ version: 5, numbers: { share: 0.1 } }, 'canary_started');
    log.info({ version: 5, detail: 'promoted: its rewards are not worse' }, 'canary_ended');
    log.info({ detail: 'apprentice' }, 'mode_changed');
    log.info({ path: '/hone.v1.GenerationService/Generate', durationMs: 432 }, 'first request');
    log.info({ why: 'SIGTERM' }, 'stopping');
    log.info('stopped');
    expect(lines).toEqual([
      'version 3 was rejected: kl: 12.30 nats per completion from the reference, above the bound of 10',
      'the adapter of the learner is not a version: ADAPTER_INVALID: torn',
      'version 3: its rejection was not recorded',
      'rolled back: version 4 is live, serves the weights of version 1',
      'crashed and restarts: learner: WORKER_CRASHED: the learner ended',
      'learner: a round went out of bounds',
      'learner: training gets 6 % of a core',
      'version 4 waits for its verdict: the gate gets 5 % of the runs of the model',
      'gate: 96 completions so far',
      'the store cannot write: STORE_FULL: the disk is full; requests are served but not stored',
      'version 5 is on trial: it answers 10 % of the requests',
      'the trial of version 5 has ended: promoted: its rewards are not worse',
      'the mode of new versions is apprentice',
      'the first request was answered, in 0.4 s',
      'stopping (SIGTERM): no new requests, running ones may finish',
      'stopped',
    ]);
  });

  it('does not print the message of a user\u2019s own function, which may quote completions', () => {
    const { log, lines } = humanLog();
    log.warn({ detail: 'function:length: threw: cannot score "My nephew keeps losing my coat"' }, 'rater_failed');
    expect(lines).toEqual(['a rater failed: function:length: threw (hone status shows more)']);
  });

  it('prints other warnings and errors, and no records of the level info', () => {
    const { log, lines } = humanLog();
    log.info({ threads: 1, figures: [1, 2, 3] }, 'threads of the policy');
    log.info({ detail: 'onnx on cpu' }, 'learner_engine_opened');
    log.warn('no metrics: another program listens');
    log.warn({ err: new Error('no room') }, 'event not written');
    log.error({ err: new Error('broken'), code: 'INTERNAL', path: '/x' }, 'call failed');
    expect(lines).toEqual([
      'warning: no metrics: another program listens',
      'warning: event not written: no room',
      'error: call failed: broken (INTERNAL)',
    ]);
    const asked = humanLog('debug');
    asked.log.debug({ path: '/x', code: 0, durationMs: 3 }, 'call');
    expect(asked.lines).toEqual(['call {"pid":1,"path":"/x","durationMs":3,"code":0}']);
  });

  it('writes out control characters and line feeds in texts of others', () => {
    const types =
      'version_promoted version_rejected version_rolled_back version_failed canary_started canary_ended shadow_started shadow_ended mode_changed worker_restarted learner_setback learner_starved gate_starved starvation_ended store_failed eviction_failed replay_log_held rater_failed stopping something_else';
    const { log, lines } = humanLog();
    for (const type of types.split(' ')) log.warn({ version: 1, detail: hostile, why: hostile, code: hostile }, type);
    log.error({ err: new Error(hostile), code: hostile }, hostile);
    expect(lines).toHaveLength(types.split(' ').length + 1);
    for (const line of lines) expect(line).not.toMatch(unprintable);
  });

  it('keeps the figures of the newest versions only', () => {
    const { log, lines } = humanLog();
    for (let version = 1; version <= 100; version++)
      log.info({ version, numbers: { scores_seen: 1 } }, 'version_created');
    log.info({ version: 1 }, 'version_promoted');
    log.info({ version: 100 }, 'version_promoted');
    expect(lines).toEqual(['version 1 is live', 'version 100 is live: 1 scores so far']);
  });
});

it('the log in JSON, which may be read at a terminal too, has no control characters and the same values', () => {
  let written = '';
  const log = openLog({ level: 'info', format: 'json' }, { write: (line) => (written += line) });
  log.warn({ detail: hostile }, hostile);
  expect(written.slice(0, -1)).not.toMatch(unprintable);
  expect(JSON.parse(written)).toMatchObject({ msg: hostile, detail: hostile });
});

it('the time of day is UTC', () => {
  const line = new HumanLog().line(
    JSON.stringify({ level: 30, time: Date.parse('2026-01-31T23:59:58Z'), msg: 'stopped' }),
  );
  expect(line).toBe('23:59:58Z  stopped\n');
});
