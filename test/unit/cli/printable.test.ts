/**
 * Texts that others wrote (names of raters, subjects and metrics, error messages, completions) cannot control the
 * terminal on which the command prints them.
 */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { formatTable, quoted } from '../../../cli/output.js';
import { services } from '../../../proto/contract.js';
import { printable, printableJson, printableText } from '../../../src/printable.js';
import { honeCommand, honeWithInput } from '../../support/command.js';
import { temporaryFolder } from '../../support/folders.js';
import { hostile, hostileAnswer, unprintable } from '../../support/hostile.js';
import { runPiped, startProcess } from '../../support/processes.js';
import { richError, type Script, type ScriptedServer, startScriptedServer } from '../../support/scripted-server.js';
import { hasTerminal, spawnOnTerminal } from '../../support/terminal.js';

const anyText = fc.string({ unit: 'binary' });

describe('a text that others wrote', () => {
  it('becomes one line without control characters, and its harmless characters stay', () => {
    fc.assert(
      fc.property(anyText, (text) => {
        expect(printable(text)).not.toMatch(unprintable);
        expect(printable(text)).not.toMatch(/[\n\t]/);
        expect(printableText(text).split('\n')).toHaveLength(text.split('\n').length);
        expect(printableText(text)).not.toMatch(unprintable);
      }),
      { numRuns: 2000 },
    );
    const harmless =
      'C:\\hone, na\u00efve \u4e2d\u6587 \u0645\u0631\u062d\u0628\u0627 \ud83d\udc68\u200d\ud83d\udc69\u200d\ud83d\udc67 \u00a7 ~';
    expect(printable(harmless)).toBe(harmless);
    expect(printable('a\u001b[2J\u202eb\ud800\u{e0001}\n\u0085')).toBe('a\\x1b[2J\\u202eb\\ud800\\u{e0001}\\n\\x85');
  });

  it('parses to the same value if it is printed as JSON', () => {
    fc.assert(
      fc.property(fc.dictionary(anyText, fc.oneof(anyText, fc.double({ noNaN: true }))), (value) => {
        const line = printableJson(value);
        expect(line).not.toMatch(unprintable);
        expect(JSON.parse(line)).toEqual(JSON.parse(JSON.stringify(value)));
      }),
      { numRuns: 1000 },
    );
  });

  it('gets a column of a table that is as wide as the text is printed', () => {
    const [, first, second] = formatTable(
      ['name', 'value'],
      [
        ['a\u001bb', '1'],
        ['plain', '20'],
      ],
    );
    expect(first).toBe('a\\x1bb      1');
    expect(second).toBe('plain      20');
  });

  it('is quoted in a command to copy if a shell would split it', () => {
    expect(quoted('127.0.0.1:50051')).toBe('127.0.0.1:50051');
    expect(quoted("it's; rm -rf ~")).toBe("'it'\\''s; rm -rf ~'");
    expect(quoted('')).toBe("''");
  });
});

/** A server on which every method of every service answers once, with hostile texts. */
function hostileScript(): Script {
  return Object.fromEntries(
    Object.entries(services)
      .filter(([name]) => name !== 'health')
      .map(([name, methods]) => [
        name,
        Object.fromEntries(
          Object.entries(methods as unknown as Record<string, { path: string; responseStream: boolean }>).map(
            ([method, { path, responseStream }]) => {
              const [, service = ''] = /\.(\w+)\//.exec(path) ?? [];
              const answer = hostileAnswer(service, method);
              return [method, responseStream ? streaming(answer) : unary(answer)];
            },
          ),
        ),
      ]),
  );
}

const unary =
  (answer: object) =>
  (call: { on?: (event: string, listener: () => void) => void }, done: (error: null, answer: object) => void): void => {
    // A list has one page only.
    const whole = { ...answer, ...('nextPageToken' in answer ? { nextPageToken: '' } : {}) };
    call.on?.('data', () => undefined);
    done(null, whole);
  };

const streaming =
  (answer: object) =>
  (call: { on(event: string, listener: () => void): void; write(message: object): void; end(): void }): void => {
    call.on('data', () => undefined);
    call.on('end', () => undefined);
    call.write(answer);
    call.end();
  };

/** Commands, each with its standard input. */
const commands: { readonly args: readonly string[]; readonly input?: string }[] = [
  { args: ['status'] },
  { args: ['explain', 'id'] },
  { args: ['versions'] },
  { args: ['versions', 'show', '1'] },
  { args: ['mode'] },
  { args: ['mode', 'auto'] },
  { args: ['promote', '1'] },
  { args: ['reject', '1'] },
  { args: ['rollback', '1'] },
  { args: ['feedback', 'id', '1'] },
  { args: ['prefer', 'a', 'b'] },
  { args: ['edit', 'id', 'text', '--score', '1', '--rater', 'my\u001brater'] },
  { args: ['erase', 'somebody\u001b[2J', '--yes'] },
  { args: ['generate', 'hi', '-n', '2'] },
  { args: ['import', '-'], input: '{}\n' },
];

describe('the hone command', () => {
  let server: ScriptedServer;
  beforeAll(async () => {
    server = await startScriptedServer(hostileScript());
  });
  afterAll(() => server.close());

  it.each(commands)(
    '$args shows nothing that a terminal obeys, to a person or as JSON',
    async ({ args, input = '' }) => {
      for (const flags of [[], ['--json']]) {
        const { out, err } = await honeWithInput(server.address, input, ...args, ...flags);
        expect(out + err, 'something was printed').not.toBe('');
        // A program that reads a completion gets it unchanged, see below.
        // With --json a result is always one line.
        if (flags.length > 0) expect(JSON.parse(out)).toBeTypeOf('object');
        if (flags.length > 0) expect(out.split('\n')).toHaveLength(2);
        const shown = args[0] === 'generate' && flags.length === 0 ? err : out + err;
        expect(shown).not.toMatch(unprintable);
        expect(shown).not.toMatch(/^version 9 is live/m);
      }
    },
  );

  it('has no other command that prints texts of a server', async () => {
    const { out } = await honeWithInput('', '', '--help');
    const [, list = ''] = /\nCommands:\n([\s\S]*?)\n\n/.exec(out) ?? [];
    const names = [...list.matchAll(/^ {2}([a-z][a-z-]*) /gm)].map(([, name]) => name);
    // These print their own texts or the user's, and `export` writes a file.
    const others = ['serve', 'demo', 'pull', 'models', 'quantize', 'tfjs-setup', 'export', 'help'];
    expect(names.sort()).toEqual([...new Set([...commands.map(({ args: [name] }) => name), ...others])].sort());
  });

  it.skipIf(!hasTerminal)('writes a completion printable on a terminal, with its lines', async () => {
    const id = '0190f5a2-0000-7000-8000-000000000001';
    const script = {
      generation: {
        StreamGenerate: (call: { write(message: object): void; end(): void }): void => {
          call.write({ started: { generationIds: [id] } });
          call.write({ chunks: [{ index: 0, text: 'one\n\u001b[2Jtwo\tthree\u202e' }] });
          call.write({ finished: [{ index: 0, reason: 'FINISH_REASON_STOP' }], usage: {} });
          call.end();
        },
      },
    };
    const writing = await startScriptedServer(script);
    const command = [process.execPath, honeCommand, 'generate', 'hi', '--address', writing.address];
    const shown = await text(spawnOnTerminal(command).stdout ?? process.stdin);
    expect(shown.replaceAll('\r\n', '\n')).toContain('one\n\\x1b[2Jtwo\tthree\\u202e\n');
    const piped = startProcess(process.execPath, command.slice(1), { stdio: ['ignore', 'pipe', 'ignore'] });
    expect(await text(piped.stdout ?? process.stdin)).toBe('one\n\u001b[2Jtwo\tthree\u202e\n');
    writing.close();
  });

  it.skipIf(!hasTerminal)('shows an export printable on a terminal, in lines that hold the same values', async () => {
    const record = { subject: 'a\u009b2J\u202e\u{e0001}\u001b[2J', text: '\u4e2d' };
    const lines = Buffer.from(`${JSON.stringify(record)}\n`);
    // A piece may end in the middle of a character.
    const cut = lines.indexOf(0xc2) + 1;
    const exporting = await startScriptedServer({
      admin: {
        ExportReplay: (call: { write(message: object): void; end(): void }): void => {
          for (const piece of [lines.subarray(0, cut), lines.subarray(cut)]) call.write({ lines: piece, records: 1 });
          call.end();
        },
      },
    });
    const command = [process.execPath, honeCommand, 'export', '--address', exporting.address];
    const shown = await text(spawnOnTerminal(command).stdout ?? process.stdin);
    const [line = ''] = shown.split('\r\n');
    expect(line).not.toMatch(unprintable);
    expect(JSON.parse(line)).toEqual(record);
    const piped = startProcess(process.execPath, command.slice(1), { stdio: ['ignore', 'pipe', 'ignore'] });
    expect(await text(piped.stdout ?? process.stdin)).toBe(lines.toString());
    exporting.close();
  });

  it('warns once if a token travels in clear to another machine, and not to this one', async () => {
    const env = { ...process.env, HONE_TOKEN: 'long-enough' };
    const run = (...args: readonly string[]) => runPiped(honeCommand, ['status', ...args], env);
    const { err } = await run('--address', 'hone.invalid:1');
    expect(err.match(/warning: the token and all texts travel in clear to hone\.invalid/g)).toHaveLength(1);
    expect(err).not.toContain('long-enough');
    const json = await run('--address', 'hone.invalid:1', '--json');
    expect(JSON.parse(json.err.split('\n')[0] ?? '')).toMatchObject({ warning: { code: 'TOKEN_IN_CLEAR' } });
    for (const args of [
      ['--address', 'hone.invalid:1', '--tls'],
      ['--address', 'localhost:1'],
      ['--address', '[::1]:1'],
    ]) {
      expect((await run(...args)).err).not.toContain('in clear');
    }
  });

  it('prints an error on its own lines even if the message holds control characters', async () => {
    const violations = [{ field: hostile, description: hostile }];
    const error = richError({
      code: 'INVALID_ARGUMENT',
      message: `refused ${hostile}`,
      reason: 'INVALID_REQUEST',
      violations,
    });
    const refusing = await startScriptedServer({
      // grpc-js sends the message in a header, which it encodes.
      status: { GetServerStatus: (_: unknown, done: (error: unknown) => void) => done(error) },
    });
    for (const flags of [[], ['--json']]) {
      const { code, out, err } = await honeWithInput(refusing.address, '', 'status', ...flags);
      expect({ code, out }).toEqual({ code: 4, out: '' });
      expect(err).toContain('refused evil\\');
      expect(err).not.toMatch(unprintable);
      expect(err).not.toMatch(/^version 9 is live/m);
    }
    refusing.close();
  });

  it('escapes words of the command line and of files that a message quotes', async () => {
    const folder = temporaryFolder();
    const list = join(folder, 'items');
    writeFileSync(list, hostile);
    const wrong: (readonly [readonly string[], string?])[] = [
      [[`x${hostile.replaceAll('\u0000', '')}`]],
      [['rollback', 'a\u001b[2J']],
      [['generate', '--a\u001b[2J']],
      [['feedback'], `{"generationId": "\u001b[2J${hostile}`],
      [['serve', '--package', '/nowhere\u001b[2J']],
      [['demo', '--judge', '/nowhere\u001b[2J', '--data', join(folder, 'data')]],
      [['quantize', '/nowhere\u001b[2J', '--output', '/nowhere']],
    ];
    for (const [args, input = ''] of wrong) {
      for (const flags of [[], ['--json']]) {
        const { code, err } = await honeWithInput(server.address, input, ...args, ...flags);
        expect(code, args.join(' ')).not.toBe(0);
        expect(err).not.toBe('');
        expect(err).not.toMatch(unprintable);
        if (flags.length > 0) expect(JSON.parse(err)).toHaveProperty('error.message');
      }
    }
  });
});
