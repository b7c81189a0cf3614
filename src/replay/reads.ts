/** The queries of the store, as prepared statements of one connection: the writer has them, and so has each reader. */

import type { Database } from '../sqlite/index.js';
import {
  type ChangeRow,
  changeColumns,
  type GenerationRow,
  generationColumns,
  type PreferenceRow,
  preferenceColumns,
  type ScoreRow,
  scoreColumns,
  toChange,
  toGeneration,
  toPreference,
  toScore,
  toUint32,
} from './rows.js';
import type {
  Generation,
  Lesson,
  Preference,
  ReplayChange,
  Score,
  ScoreBounds,
  ScoreExtremes,
  StoredPrompt,
} from './types.js';

export type Reads = ReturnType<typeof prepareReads>;

interface SampledRow {
  readonly group_key: string;
  readonly prompt_id: number;
  readonly created_at_ms: number;
  readonly rowid: number;
}

/** Generations that one step of the search for recent prompts looks at. */
const generationsPerPage = 256;

export function prepareReads(database: Database) {
  const since = database.prepare<[number, number], ChangeRow>(
    `SELECT ${changeColumns} FROM changes WHERE sequence > ? ORDER BY sequence LIMIT ?`,
  );
  const generation = database.prepare<[string], GenerationRow>(
    `SELECT ${generationColumns} FROM generations JOIN prompts ON prompts.id = prompt_id WHERE generations.id = ?`,
  );
  const exists = database.prepareValue<[string], 1>('SELECT 1 FROM generations WHERE id = ?');
  const scores = database.prepare<[string], ScoreRow>(`SELECT ${scoreColumns} FROM scores WHERE generation_id = ?`);
  const extremes = database.prepare<[], ScoreExtremes>(
    'SELECT metric, min(value) AS smallest, max(value) AS largest FROM scores GROUP BY metric ORDER BY metric',
  );
  const outside = database.prepareValue<[string, number, number], number>(
    'SELECT count(*) FROM scores WHERE metric = ? AND (value < ? OR value > ?)',
  );
  const asFirst = database.prepare<[string], PreferenceRow>(
    `SELECT ${preferenceColumns} FROM preferences WHERE first_id = ?`,
  );
  const asSecond = database.prepare<[string], PreferenceRow>(
    `SELECT ${preferenceColumns} FROM preferences WHERE second_id = ?`,
  );
  const lessons = database.prepare<[string], { generation_id: string; version: number }>(
    'SELECT * FROM lessons WHERE generation_id = ? ORDER BY version',
  );
  const learned = database.prepareValue<[], number>('SELECT DISTINCT version FROM lessons ORDER BY version');
  const edits = database.prepareValue<[string], string>('SELECT id FROM generations WHERE edit_of = ? ORDER BY id');
  const newestBefore = database.prepare<[number, number, number], SampledRow>(`
    SELECT group_key, prompt_id, created_at_ms, rowid FROM generations
    WHERE origin = 'sampled' AND (created_at_ms, rowid) < (?, ?)
    ORDER BY created_at_ms DESC, rowid DESC LIMIT ?`);
  const prompt = database.prepare<[number], { prompt_json: string; prompt_tokens: Uint8Array }>(
    'SELECT prompt_json, prompt_tokens FROM prompts WHERE id = ?',
  );
  const last = database.prepareValue<[], number>(
    "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'changes'",
  );
  const oldest = database.prepareValue<[], number | null>('SELECT min(created_at_ms) FROM generations');

  function readPreferences(ids: readonly string[]): Preference[] {
    const asked = new Set(ids);
    return ids.flatMap((id) => [
      ...asFirst.all(id).map(toPreference),
      // A preference between two of the given generations is returned once, from the first of its pair.
      ...asSecond
        .all(id)
        .filter(({ first_id }) => !asked.has(first_id))
        .map(toPreference),
    ]);
  }

  function recentPrompts(limit: number): StoredPrompt[] {
    const found = new Map<string, StoredPrompt>();
    let place: readonly [createdAtMs: number, rowid: number] = [Number.MAX_SAFE_INTEGER, 0];
    for (;;) {
      const page = newestBefore.all(...place, generationsPerPage);
      for (const { group_key: groupKey, prompt_id, created_at_ms, rowid } of page) {
        if (found.size >= limit) return [...found.values()];
        place = [created_at_ms, rowid];
        const row = found.has(groupKey) ? undefined : prompt.get(prompt_id);
        if (row === undefined) continue;
        found.set(groupKey, { groupKey, promptTokens: toUint32(row.prompt_tokens), promptJson: row.prompt_json });
      }
      if (page.length < generationsPerPage) return [...found.values()];
    }
  }

  return {
    readSince: (sequence: number, limit: number): ReplayChange[] => since.all(sequence, limit).map(toChange),
    readGenerations: (ids: readonly string[]): Generation[] =>
      ids.flatMap((id) => {
        const row = generation.get(id);
        return row === undefined ? [] : [toGeneration(row)];
      }),
    readScores: (ids: readonly string[]): Score[] => ids.flatMap((id) => scores.all(id).map(toScore)),
    scoreExtremes: (): ScoreExtremes[] => extremes.all(),
    countOutside: ({ metric, lowest, highest }: ScoreBounds): number => outside.get(metric, lowest, highest) ?? 0,
    readPreferences,
    readLessons: (ids: readonly string[]): Lesson[] =>
      ids.flatMap((id) => lessons.all(id).map(({ version }) => ({ generationId: id, version }))),
    versionsWithLessons: (): number[] => learned.all(),
    readEdits: (ids: readonly string[]): string[] => ids.flatMap((id) => edits.all(id)),
    existing: (ids: readonly string[]): string[] => ids.filter((id) => exists.get(id) !== undefined),
    recentPrompts,
    lastSequence: (): number => last.get() ?? 0,
    oldestGenerationAtMs: (): number | null => oldest.get() ?? null,
  };
}
