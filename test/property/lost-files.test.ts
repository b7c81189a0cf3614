/**
 * Whatever file of a data directory is deleted, emptied, cut or overwritten between two runs: no number of a version or an
 * event is given twice, no adapter is written over, the mode is kept, or opening is refused with a code.
 */

import { existsSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { DirectoryRecord } from '../../server/parts/directory-record.js';
import { knownVersions, lastModeIn } from '../../server/parts/lost-state.js';
import { openEventJournal } from '../../src/agent/events/event-journal.js';
import { EventLog } from '../../src/agent/events/event-log.js';
import { type Mode, modes, openModeFile } from '../../src/agent/rollout/modes.js';
import { HoneError } from '../../src/errors.js';
import { openVersionLog, writeAdapter } from '../../src/versions/index.js';
import { meta, someAdapter, zero } from '../support/adapters.js';
import { temporaryFolder } from '../support/folders.js';

const noStore = { versionsWithLessons: async () => [] };

/** Opens the parts of a directory that are files of their own, as the server does. */
async function open(data: string) {
  const reported: string[] = [];
  const onRebuilt = (what: string) => void reported.push(what);
  const record = DirectoryRecord.open(data, onRebuilt);
  const path = join(data, 'events.jsonl');
  const fail = (error: HoneError) => {
    throw error;
  };
  const journal = openEventJournal(path, 40, fail, { onRebuilt, given: record.held.lastEvent });
  const events = new EventLog({ now: () => 1, capacity: 40, journal });
  try {
    const modeFile = await openModeFile(join(data, 'mode.json'), {
      copy: { mode: record.held.mode, write: (mode) => record.update({ mode }) },
      isUsed: record.isKnown || journal.lastSequence > 0,
      lastNamed: lastModeIn(journal.restored),
      onRebuilt,
    });
    const versions = await openVersionLog({
      directory: join(data, 'versions'),
      copyPath: join(data, 'versions.copy.jsonl'),
      known: await knownVersions(record, journal.restored, noStore),
      packageDigest: meta.packageDigest,
      zeroAdapter: zero,
      onRebuilt,
    });
    const keep = () =>
      record.recordAll({ nextVersion: versions.nextNumber, lastEvent: events.lastSequence, lastChange: 0 });
    await keep();
    return { reported, record, events, modeFile, versions, keep };
  } catch (thrown) {
    events.close();
    throw thrown;
  }
}

type Step = { readonly does: 'version' | 'event' } | { readonly does: 'mode'; readonly mode: Mode };
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.constant({ does: 'version' } as const),
  fc.constant({ does: 'event' } as const),
  fc.record({ does: fc.constant('mode' as const), mode: fc.constantFrom(...modes) }),
);

const damage = fc.record({
  file: fc.nat(),
  kind: fc.constantFrom('delete' as const, 'empty' as const, 'cut' as const, 'garbage' as const),
  share: fc.double({ min: 0, max: 0.999, noNaN: true }),
  bytes: fc.uint8Array({ minLength: 1, maxLength: 200 }),
});

const run = fc.record({ steps: fc.array(step, { maxLength: 8 }), ends: fc.constantFrom('stopped', 'killed'), damage });

function filesOf(data: string): string[] {
  const top = readdirSync(data).filter((name) => statSync(join(data, name)).isFile());
  return [...top, 'versions/log.jsonl']
    .filter((name) => !name.endsWith('.damaged') && existsSync(join(data, name)))
    .sort();
}

test('one file that is lost or damaged between two runs makes nothing come twice', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(run, { minLength: 2, maxLength: 4 }), async (runs) => {
      const data = temporaryFolder();
      const given = { versions: 0, event: 0, seed: 0 };
      let mode: Mode = 'auto';
      const adapters = new Map<string, Buffer>();
      for (const { steps, ends, damage: planned } of runs) {
        let opened: Awaited<ReturnType<typeof open>>;
        try {
          opened = await open(data);
        } catch (thrown) {
          // A refusal changes nothing that could be lost.
          expect(HoneError.from(thrown).code).toMatch(/^(STATE_LOST|STORE_CORRUPT)$/);
          return;
        }
        const { events, modeFile, versions, keep } = opened;
        expect(modeFile.mode).toBe(mode);
        expect(versions.nextNumber).toBe(Math.max(1, given.versions));
        expect(events.lastSequence).toBeGreaterThanOrEqual(given.event);
        given.versions = versions.nextNumber;
        for (const one of steps) {
          if (one.does === 'mode') {
            await modeFile.set(one.mode);
            mode = one.mode;
          } else if (one.does === 'version') {
            const directory = join(data, 'candidate');
            const adapterDigest = await writeAdapter(directory, someAdapter(++given.seed), meta);
            const { number } = await versions.adopt({ directory, parent: null, adapterDigest, metrics: {} });
            expect(number).toBe(given.versions);
            given.versions = number + 1;
            const folder = join(data, 'versions', String(number).padStart(6, '0'));
            expect(adapters.has(folder)).toBe(false);
            adapters.set(folder, readFileSync(join(folder, 'adapter_model.safetensors')));
          }
          events.publish({ type: one.does === 'version' ? 'version_created' : 'learner_progress' });
          expect(events.lastSequence).toBeGreaterThan(given.event);
          given.event = events.lastSequence;
        }
        await versions.close();
        if (ends === 'stopped') {
          events.close();
          await keep();
        }
        for (const [folder, bytes] of adapters) {
          expect(readFileSync(join(folder, 'adapter_model.safetensors'))).toEqual(bytes);
        }
        const files = filesOf(data);
        const path = join(data, files[planned.file % files.length] ?? '');
        if (planned.kind === 'delete') rmSync(path);
        else if (planned.kind === 'empty') writeFileSync(path, '');
        else if (planned.kind === 'cut') truncateSync(path, Math.floor(statSync(path).size * planned.share));
        else writeFileSync(path, planned.bytes);
      }
    }),
    { numRuns: 60 },
  );
});
