import { once } from 'node:events';
import { createRequire } from 'node:module';
import { getPriority } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';
import type { LearnerSupervisor } from '../../src/learner/index.js';
import type { LearnerEvent } from '../../src/learner/process/messages.js';
import { createLearner, type LearnerOptions, startLearner } from '../../src/learner/process/supervisor.js';
import type { LearnerSettings } from '../../src/learner/types.js';
import { readAdapter } from '../../src/versions/index.js';
import { temporaryFolder } from '../support/folders.js';
import { openExperience, type Sample, settings } from '../support/learner/experience.js';
import { childrenOf, gone, isAlive, startScript } from '../support/processes.js';
import { until as holds } from '../support/until.js';

const root = dirname(createRequire(import.meta.url).resolve('hone-agent/package.json'));
const packageDirectory = join(root, 'test', 'fixtures', 'tiny');

function optionsFor(directory: string, replayPath: string, over: Partial<LearnerSettings> = {}): LearnerOptions {
  return {
    packageDirectory,
    packageDigest: 'package',
    decoder: { vocabularySize: 260, contextLength: 128 },
    replayPath,
    directory: join(directory, 'learner'),
    settings: settings({ rank: 2, scoresPerRound: 16, groupsPerStep: 2, replayRatio: 2, ...over }),
    liveVersion: 0,
    adapterPath: null,
    adapterDigest: '',
    restartAfterMs: 50,
  };
}

function watch(learner: LearnerSupervisor) {
  const events: LearnerEvent[] = [];
  const waiting = new Set<() => void>();
  learner.onEvent((event) => {
    events.push(event);
    for (const wake of waiting) wake();
  });
  onTestFinished(() => learner.close());
  async function until<Type extends LearnerEvent['type']>(
    type: Type,
    which: (event: Extract<LearnerEvent, { type: Type }>) => boolean = () => true,
    from = 0,
  ): Promise<Extract<LearnerEvent, { type: Type }>> {
    for (;;) {
      const found = events
        .slice(from)
        .filter((event): event is Extract<LearnerEvent, { type: Type }> => event.type === type)
        .find(which);
      if (found !== undefined) return found;
      await new Promise<void>((resolve) => {
        const wake = (): void => {
          waiting.delete(wake);
          resolve();
        };
        waiting.add(wake);
      });
    }
  }
  return { events, until };
}

/** Groups of four completions of the tiny package's vocabulary, of different rewards. */
function samples(round: string, count: number): Sample[] {
  return Array.from({ length: count }, (_, i) => {
    const group = Math.floor(i / 4);
    const tokens = Array.from({ length: 6 }, (_, t) => (i * 31 + t * 17 + group * 7) % 250);
    return {
      id: `${round}-${i}`,
      group: `${round}-${group}`,
      promptTokens: [group + 1, 5, 9],
      tokens,
      reward: (i % 4) / 3,
    };
  });
}

test('a learner that gets no processor time is reported as starved, with what to do, until it has nothing to compute', async () => {
  const directory = temporaryFolder();
  const { path } = await openExperience(directory);
  const learner = startLearner({ ...optionsFor(directory, path), starvationWindowMs: 100 });
  const { until } = watch(learner);
  const pid = childrenOf(process.pid)[0] as number;
  process.kill(pid, 'SIGSTOP');
  const words = /^the start of the learner gets \d+ % of a core: .*--threads/;
  const { message, numbers } = await until('starved');
  expect(message).toMatch(words);
  expect(numbers.processor_share).toBeLessThan(0.25);
  expect(learner.status()).toMatchObject({ state: 'starting', starvedBecause: expect.stringMatching(words) });
  process.kill(pid, 'SIGCONT');
  await until('progress', ({ progress }) => progress.state === 'idle');
  await until('recovered');
  // On a busy machine it may have starved once more before it had nothing to compute.
  await holds(() => learner.status().starvedBecause === null, 'a learner that waits for scores lacks nothing');
});

test('a real learner process turns scores into a candidate, at the lowest priority, and ends when it is closed', async () => {
  const directory = temporaryFolder();
  const experience = await openExperience(directory);
  const learner = startLearner(optionsFor(directory, experience.path));
  const { until } = watch(learner);
  const { pid } = await until('ready');
  expect(childrenOf(process.pid)).toEqual([pid]);
  expect(getPriority(pid)).toBe(19);
  await experience.add(samples('a', 16));
  learner.changed();
  const candidate = await until('candidate');
  const { digest, adapter } = await readAdapter(candidate.directory);
  expect(digest).toBe(candidate.adapterDigest);
  const b = adapter.tensors.get('model.layers.0.self_attn.q_proj.lora_B');
  expect(b?.data.some((value) => value !== 0)).toBe(true);
  expect(learner.status()).toMatchObject({ rounds: 1, scoresSeen: 16, restarts: 0 });
  await Promise.all([learner.close(), learner.close()]);
  expect(isAlive(pid)).toBe(false);
  expect(learner.status().state).toBe('off');
});

test('a created learner has no process before it is started, and none if it was paused or closed before', async () => {
  const directory = temporaryFolder();
  const experience = await openExperience(directory);
  const learner = createLearner(optionsFor(directory, experience.path));
  const { until } = watch(learner);
  expect(childrenOf(process.pid)).toEqual([]);
  expect(learner.status().state).toBe('starting');
  await learner.pause();
  learner.start();
  expect(childrenOf(process.pid)).toEqual([]);
  expect(learner.status().state).toBe('paused');
  await learner.resume();
  const { pid } = await until('ready');
  learner.start();
  expect(childrenOf(process.pid)).toEqual([pid]);
  await learner.close();
  learner.start();
  expect(childrenOf(process.pid)).toEqual([]);
});

test('a learner killed in the middle of a round starts again and finishes it', async () => {
  const directory = temporaryFolder();
  const experience = await openExperience(directory);
  await experience.add(samples('a', 64));
  const learner = startLearner(optionsFor(directory, experience.path, { replayRatio: 6 }));
  const { events, until } = watch(learner);
  const { pid } = await until('ready');
  learner.changed();
  await until('progress', ({ progress }) => progress.state === 'training');
  process.kill(pid, 'SIGKILL');
  const crash = await until('failed');
  expect(crash).toMatchObject({ code: 'WORKER_CRASHED', message: expect.stringContaining('SIGKILL') });
  expect(learner.status().failure).toMatchObject({
    code: 'WORKER_CRASHED',
    message: expect.stringContaining('SIGKILL'),
  });
  const candidate = await until('candidate', () => true, events.indexOf(crash));
  expect(candidate.metrics).toMatchObject({ rounds: 1, steps: 48 });
  expect(learner.status()).toMatchObject({ restarts: 1, failure: null });
});

test('a record of an earlier build that the package cannot hold is set aside, and the learner learns from the others', async () => {
  const directory = temporaryFolder();
  const experience = await openExperience(directory);
  await experience.add([...samples('a', 16), { id: 'odd', group: 'odd', tokens: [1, 260], reward: 1 }]);
  const learner = startLearner(optionsFor(directory, experience.path));
  const { until } = watch(learner);
  const { records } = await until('set_aside', ({ isNews }) => isNews);
  expect(records).toMatchObject([{ generationId: 'odd', cause: 'unfit', reason: expect.stringContaining('260') }]);
  await until('candidate');
  expect(learner.status()).toMatchObject({ restarts: 0, setAside: { unfit: 1, too_large: 0, broke: 0 } });
  expect(learner.setAsideBecause('odd')).toContain('260');
  expect(learner.status().memoryBytes).toBeGreaterThan(0);
});

test('a record on which the engine throws is found, set aside and named, and the learner goes on', async () => {
  const directory = temporaryFolder();
  const experience = await openExperience(directory);
  const odd = { id: 'odd', group: 'a-0', promptTokens: [1, 5, 9], tokens: [1, 260], reward: 1 };
  await experience.add([...samples('a', 16), odd]);
  // A decoder that would hold it lets it through to the engine.
  const wide = { vocabularySize: 1000, contextLength: 128 };
  const learner = startLearner({ ...optionsFor(directory, experience.path), decoder: wide });
  const { until } = watch(learner);
  const { records } = await until('set_aside', ({ isNews }) => isNews);
  expect(records).toMatchObject([{ generationId: 'odd', cause: 'broke' }]);
  const candidate = await until('candidate');
  expect(candidate.lessons).not.toContain('odd');
  expect(learner.status()).toMatchObject({ restarts: 0, setAside: { broke: 1 } });
});

test('a record in whose pass process after process dies is found, set aside and named', async () => {
  const directory = temporaryFolder();
  const experience = await openExperience(directory);
  // The bandit reads the first token alone, an arm of three.
  await experience.add(samples('a', 20).map((sample, i) => ({ ...sample, tokens: [i % 3, i] })));
  const deadly = 'a-5';
  const said: LearnerEvent[] = [];
  const script = fileURLToPath(new URL('../support/processes/learner-that-dies.js', import.meta.url));
  let deaths = 0;
  for (let ended = false; !ended; ) {
    const child = startScript(script, [JSON.stringify(optionsFor(directory, experience.path)), deadly]);
    child.on('message', (event: LearnerEvent) => said.push(event));
    const [code] = (await once(child, 'close')) as [number | null];
    if (code === 0) ended = true;
    else deaths += 1;
    expect(deaths).toBeLessThan(10);
  }
  expect(deaths).toBe(5);
  const named = said.flatMap((event) => (event.type === 'set_aside' && event.isNews ? event.records : []));
  expect(named).toMatchObject([
    { generationId: deadly, cause: 'broke', reason: expect.stringContaining('died 3 times') },
  ]);
  const candidate = said.find((event) => event.type === 'candidate');
  expect(candidate?.lessons).toHaveLength(19);
});

test('a paused learner has no process, and a resumed one goes on where it was', async () => {
  const directory = temporaryFolder();
  const experience = await openExperience(directory);
  const learner = startLearner(optionsFor(directory, experience.path));
  const { events, until } = watch(learner);
  const { pid } = await until('ready');
  await learner.pause();
  expect(isAlive(pid)).toBe(false);
  expect(learner.status().state).toBe('paused');
  await experience.add(samples('a', 16));
  const from = events.length;
  await learner.resume();
  await until('candidate', () => true, from);
  expect(learner.status().restarts).toBe(0);
});

test('a learner that is resumed while it is pausing becomes one process, without a crash', async () => {
  const directory = temporaryFolder();
  const experience = await openExperience(directory);
  const learner = startLearner(optionsFor(directory, experience.path));
  const { events, until } = watch(learner);
  await until('ready');
  const from = events.length;
  await Promise.all([learner.pause(), learner.resume(), learner.resume()]);
  await until('ready', () => true, from);
  expect(events.filter(({ type }) => type === 'failed')).toEqual([]);
  expect(learner.status().restarts).toBe(0);
});

test('a second learner on the same directory is refused, and its status says why', async () => {
  const directory = temporaryFolder();
  const experience = await openExperience(directory);
  const first = startLearner(optionsFor(directory, experience.path));
  await watch(first).until('ready');
  const second = startLearner(optionsFor(directory, experience.path));
  const refused = await watch(second).until('failed');
  expect(refused).toMatchObject({ code: 'DATA_DIRECTORY_LOCKED', message: expect.stringContaining('another learner') });
  expect(second.status().failure).toEqual({ code: refused.code, message: refused.message });
  expect(first.status().failure).toBeNull();
  await second.close();
});

test('a learner whose server is killed exits by itself, even in the middle of a round', async () => {
  const directory = temporaryFolder();
  const experience = await openExperience(directory);
  // The round takes minutes, so it cannot have ended.
  await experience.add(samples('a', 400));
  const server = startScript(fileURLToPath(new URL('../support/processes/learner-parent.js', import.meta.url)), [
    JSON.stringify(optionsFor(directory, experience.path, { replayRatio: 200 })),
  ]);
  const [pid] = (await once(server, 'message')) as [number];
  expect(isAlive(pid)).toBe(true);
  server.kill('SIGKILL');
  await once(server, 'exit');
  await gone(pid);
  // The next learner takes the lock over.
  const next = startLearner(optionsFor(directory, experience.path));
  await watch(next).until('ready');
});
