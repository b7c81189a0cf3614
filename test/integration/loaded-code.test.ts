/** Commands, server and threads only load the code that they need, because other code makes a start slower. */

import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { honeCommand } from '../support/command.js';
import { temporaryFolder } from '../support/folders.js';
import { startProcess } from '../support/processes.js';
import { startServer } from '../support/server.js';
import { until } from '../support/until.js';

interface Note {
  /** The URL of a module, or the name of an event. */
  readonly what: string;
  readonly priority: number;
  readonly program: string;
}

const preload = `--import=${new URL('../support/loaded-modules.js', import.meta.url)}`;

/** Reads the notes of each thread of a program and of its child processes. */
function readNotes(folder: string): Note[][] {
  return readdirSync(folder).map((name) =>
    readFileSync(join(folder, name), 'utf8')
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Note),
  );
}

const whats = (notes: readonly Note[]): string => notes.map(({ what }) => what).join('\n');
const threadWith = (threads: readonly Note[][], module: string): Note[] =>
  threads.find((notes) => notes.some(({ what }) => what.endsWith(module))) ?? [];

describe('a command', () => {
  it.each(['--help', 'serve --help', 'generate --address 127.0.0.1:1 hello', 'status --address 127.0.0.1:1'])(
    'hone %s loads no code of the server',
    async (line) => {
      const args = line.split(' ');
      const folder = temporaryFolder();
      const env = { ...process.env, HONE_TEST_NOTES: folder };
      const child = startProcess(process.execPath, [preload, honeCommand, ...args], { env, stdio: 'ignore' });
      await once(child, 'exit');
      const [notes = []] = readNotes(folder);
      expect(whats(notes)).toMatch(/dist\/cli\/main\.js/);
      // Commands and the server share the table of flags, their messages to each other, and a few files without imports.
      const shared =
        'server/(flag-table|flag-values|parent-process)|src/(command-name|installation|loopback|printable|process/restarts)';
      expect(whats(notes)).not.toMatch(new RegExp(`dist/(?!(${shared})\\.js)(server|src)/`));
      expect(whats(notes)).not.toMatch(/node:sqlite|onnxruntime|node_modules\/(zod|pino|prom-client)/);
      expect(/@grpc\/grpc-js/.test(whats(notes))).toBe(!args.includes('--help'));
    },
  );
});

describe('a server', () => {
  let threads: Note[][] = [];
  let main: Note[];
  let beforeReady: string;

  beforeAll(async () => {
    // The first start of a package has it compared with its own file, by a process of its own.
    await (await startServer({ args: ['--learner', 'on'] }))[Symbol.asyncDispose]();
    const folder = temporaryFolder();
    const env = { NODE_OPTIONS: preload, HONE_TEST_NOTES: folder };
    await using server = await startServer({ args: ['--learner', 'on'], env });
    const client = await server.connect();
    const { completions } = await client.generate({ prompt: 'abc', maxTokens: 4, ignoreEos: true });
    expect(completions).toHaveLength(1);
    await until(async () => (await client.status()).learner.state === 'idle', 'the learner has started');
    threads = readNotes(folder);
    main = threadWith(threads, 'dist/server/main.js');
    beforeReady = whats(
      main.slice(
        0,
        main.findIndex(({ what }) => what === 'ready'),
      ),
    );
  });

  it('has only loaded the code that it needs when it is ready', () => {
    expect(beforeReady).toMatch(/dist\/server\/grpc\/door\.js/);
    expect(beforeReady).not.toMatch(/@grpc\/reflection|node_modules\/prom-client/);
    expect(beforeReady).not.toMatch(
      /dist\/src\/(reward\/model|package\/(text-encoder|quantization\/(compare|quantize)))/,
    );
    // From the learner it needs the settings, the code that starts it, and the check whether the package can be trained.
    const ofLearner = [...beforeReady.matchAll(/dist\/src\/learner\/(?<name>.+)\.js/g)].map(
      ({ groups }) => groups?.name,
    );
    expect(ofLearner.sort()).toEqual([
      'engine/adapted-graph',
      'engine/check-trainable',
      'engine/losses',
      'engine/names',
      'engine/training-graph',
      'experience/eligibility',
      'experience/misfit',
      'process/change-notice',
      'process/learner-child',
      'process/processor-share',
      'process/starvation',
      'process/status',
      'process/supervisor',
      'process/supervisor-life',
      'settings',
    ]);
    // The rest is loaded later.
    expect(whats(main)).toMatch(/node_modules\/prom-client/);
  });

  it('starts its learner when it is ready, with the lowest priority from the first module on', () => {
    const children = main.filter(({ what }) => what === 'child');
    expect(children).toHaveLength(1);
    expect(beforeReady).not.toMatch(/^child$/m);
    const loaded = threadWith(threads, 'dist/src/learner/process/learner-process.js').filter(({ what }) =>
      what.startsWith('file:'),
    );
    const early = loaded.filter(({ priority }) => priority < 19).map(({ what }) => what.replace(/^.*\/dist\//, ''));
    expect(early).toEqual(['src/learner/process/learner-process.js', 'src/errors.js', 'src/process/priority.js']);
    expect(whats(loaded)).toMatch(/dist\/src\/learner\/round\/runner\.js/);
  });

  it('has one tokenizer: its threads load none, and do not repeat the checks of the main process', () => {
    const tokenizing = /@huggingface|node_modules\/zod/;
    expect(beforeReady).toMatch(tokenizing);
    for (const worker of ['dist/src/policy/inference-worker.js', 'dist/src/replay/worker.js']) {
      const loaded = whats(threadWith(threads, worker));
      expect(loaded).toContain(worker);
      expect(loaded).not.toMatch(tokenizing);
    }
  });
});
