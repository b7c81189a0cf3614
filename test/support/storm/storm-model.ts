/**
 * The client's record of what a server has acknowledged. After each kill the store must hold exactly this.
 *
 * A score whose answer was lost is sent again with its key, so that in the end the fate of each score is known and the
 * whole table can be compared. A score of a key (generation, rater) is only sent when the one before it has been
 * answered, so their order is known too.
 */

import { expect } from 'vitest';
import type { FeedbackOutcome, HoneClient } from '../../../client/index.js';
import { openReplayReader } from '../../../src/replay/index.js';

interface Op {
  readonly idempotencyKey: string;
  readonly generationId: string;
  readonly rater: string;
  readonly score: number | null;
}

interface Begun {
  readonly version: number;
  /** The streamed text; set when the final message has come. */
  text: string | null;
}

export class StormModel {
  readonly #generations = new Map<string, Begun>();
  readonly #ids: string[] = [];
  /** The acknowledged scores in order, by score key. */
  readonly #acknowledged = new Map<string, Op[]>();
  readonly #unanswered = new Map<string, Op>();
  #keys = 0;
  #checked = 0;
  #answers = 0;
  #wanted: { readonly answers: number; readonly reached: () => void } | undefined;

  get ids(): readonly string[] {
    return this.#ids;
  }

  get size(): { generations: number; finished: number; scores: number } {
    const finished = [...this.#generations.values()].filter(({ text }) => text !== null).length;
    const scores = [...this.#acknowledged.values()].reduce((sum, ops) => sum + ops.length, 0);
    return { generations: this.#ids.length, finished, scores };
  }

  /** Calls back once, when this number of further scores and whole requests have been answered. */
  onAnswers(more: number, reached: () => void): void {
    this.#wanted = { answers: this.#answers + more, reached };
  }

  #countAnswer(): void {
    this.#answers += 1;
    if (this.#wanted === undefined || this.#answers < this.#wanted.answers) return;
    this.#wanted.reached();
    this.#wanted = undefined;
  }

  begun(ids: readonly string[], version: number): void {
    for (const id of ids) this.#generations.set(id, { version, text: null });
    this.#ids.push(...ids);
  }

  ended(ids: readonly string[], texts: readonly string[]): void {
    for (const [i, id] of ids.entries()) (this.#generations.get(id) as Begun).text = texts[i] ?? '';
    this.#countAnswer();
  }

  /** Returns a new score to send, or null while this key waits for an answer. */
  propose(generationId: string, rater: string, score: number | null): Op | null {
    if (this.#unanswered.has(`${generationId} ${rater}`)) return null;
    const op = { idempotencyKey: `op-${this.#keys++}`, generationId, rater, score };
    this.#unanswered.set(`${generationId} ${rater}`, op);
    return op;
  }

  answered(op: Op, outcome: FeedbackOutcome): void {
    const key = `${op.generationId} ${op.rater}`;
    expect(outcome.status, JSON.stringify(outcome)).not.toBe('refused');
    this.#unanswered.delete(key);
    this.#acknowledged.set(key, [...(this.#acknowledged.get(key) ?? []), op]);
    this.#countAnswer();
  }

  /** Sends the scores without an answer again. */
  async settle(client: HoneClient): Promise<void> {
    const ops = [...this.#unanswered.values()];
    for (let from = 0; from < ops.length; from += 500) {
      const part = ops.slice(from, from + 500);
      const outcomes = await client.feedback(part);
      for (const [i, op] of part.entries()) this.answered(op, outcomes[i] as FeedbackOutcome);
    }
  }

  /**
   * Checks that the store has every generation that has begun since the last check, that it is whole if its end was
   * acknowledged, and that none is still running.
   */
  checkGenerations(path: string): void {
    const ids = this.#ids.slice(this.#checked);
    this.#checked = this.#ids.length;
    const reader = openReplayReader(path);
    const stored = new Map(reader.readGenerations(ids).map((generation) => [generation.id, generation]));
    reader.close();
    for (const id of ids) {
      const { version, text } = this.#generations.get(id) as Begun;
      const found = stored.get(id);
      expect(found, `generation ${id} was begun`).toMatchObject({ version });
      expect(text === null ? ['finished', 'aborted'] : ['finished'], id).toContain(found?.state);
      if (text !== null) expect(found?.text, id).toBe(text);
      if (found?.state === 'aborted') expect(found.finishReason).toBe('error');
    }
  }

  /** Checks that the store has exactly the acknowledged scores and changes, each once and in order. */
  checkScores(path: string): void {
    const reader = openReplayReader(path);
    const changes = reader.readSince(0, 10_000_000);
    const scores = reader.readScores(this.#ids);
    reader.close();
    const written = new Map<string, (number | null)[]>();
    for (const change of changes) {
      if (change.type !== 'score') continue;
      const key = `${change.generationId} ${change.rater}`;
      written.set(key, [...(written.get(key) ?? []), change.value]);
    }
    const expected = [...this.#acknowledged].map(([key, ops]) => [key, ops.map(({ score }) => score)] as const);
    expect(written).toEqual(new Map(expected));
    const last = expected.map(([key, values]) => [key, values.at(-1)] as const).filter(([, value]) => value !== null);
    expect(new Map(scores.map(({ generationId, rater, value }) => [`${generationId} ${rater}`, value]))).toEqual(
      new Map(last),
    );
    expect(changes.map(({ sequence }) => sequence)).toEqual(changes.map((_, i) => i + 1));
    const finished = changes.flatMap((change) => (change.type === 'generation' ? [change.generationId] : []));
    expect(new Set(finished).size).toBe(finished.length);
  }
}
