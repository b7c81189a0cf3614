/** Times of the commands mean UTC, whatever the zone of the machine. */

import { describe, expect, it } from 'vitest';
import { formatTime, parseTime } from '../../../cli/times.js';
import { honeCommand } from '../../support/command.js';
import { runPiped } from '../../support/processes.js';
import { startScriptedServer } from '../../support/scripted-server.js';

describe('a time', () => {
  it.each([
    ['2026-01-31', '2026-01-31T00:00:00Z'],
    ['2026-01-31T12:00', '2026-01-31T12:00:00Z'],
    ['2026-01-31 12:00', '2026-01-31T12:00:00Z'],
    ['2026-01-31T12:00:05', '2026-01-31T12:00:05Z'],
    ['2026-01-31T12:00:05.25Z', '2026-01-31T12:00:05.25Z'],
    ['2026-01-31T12:00+02:00', '2026-01-31T10:00:00Z'],
    ['2026-01-31T23:30:00-0130', '2026-02-01T01:00:00Z'],
    ['2024-02-29', '2024-02-29T00:00:00Z'],
    ['1960-01-01', '1970-01-01T00:00:00Z'],
  ])('written as %s means %s', (written, meant) => {
    expect(parseTime(written)).toBe(Date.parse(meant));
  });

  it.each([
    '2026-02-30',
    '2026-13-01',
    '2025-02-29',
    '2026-01-31T24:00',
    '2026-01-31T12:60',
    '2026-1-31',
    '1 May 2026',
  ])('written as %s is refused', (written) =>
    expect(() => parseTime(written)).toThrow(/UTC unless it ends with an offset/),
  );

  it.each(['', 'yesterday', '2026', '2026-01-31T12', '2026-01-31T12:00+15:00', '2026-01-31Z', '1769860800000'])(
    'written as %j is refused',
    (written) => expect(() => parseTime(written)).toThrow(/UTC unless/),
  );

  it('that is printed names its zone, and is read as the same time', () => {
    const time = Date.parse('2026-07-31T12:34:56Z');
    expect(formatTime(time)).toBe('2026-07-31 12:34:56Z');
    expect(parseTime(formatTime(time))).toBe(time);
  });
});

it('hone export and hone versions read and print UTC on a machine of another zone', async () => {
  const asked: unknown[] = [];
  const server = await startScriptedServer({
    admin: {
      ExportReplay: (call: { readonly request: { readonly sinceMs: number }; end(): void }) => {
        asked.push(call.request.sinceMs);
        call.end();
      },
    },
    versions: {
      GetVersion: (_: unknown, done: (error: null, answer: object) => void) =>
        done(null, {
          version: { number: 1, state: 'VERSION_STATE_LIVE', createdAtMs: Date.parse('2026-01-31T12:00Z') },
        }),
    },
  });
  const env = { ...process.env, HONE_ADDRESS: server.address, TZ: 'America/New_York' };
  for (const since of ['2026-01-31', '2026-01-31T00:00'])
    await runPiped(honeCommand, ['export', '--since', since], env);
  expect(asked).toEqual([Date.parse('2026-01-31T00:00Z'), Date.parse('2026-01-31T00:00Z')]);
  const { out } = await runPiped(honeCommand, ['versions', 'show', '1'], env);
  expect(out).toContain('2026-01-31 12:00:00Z');
  const { code, err } = await runPiped(honeCommand, ['export', '--since', '2026-02-30'], env);
  expect({ code, err }).toMatchObject({ code: 2, err: expect.stringContaining('UTC') });
  server.close();
});
