/** The error that names the rows on which training breaks. Rows are known by their tokens. */

import { createHash } from 'node:crypto';
import { HoneError } from '../../errors.js';
import type { TrainingRow } from '../types.js';

/** A name of a row: the same for the same prompt and completion. */
export function nameOfRow({ promptTokens, completionTokens }: TrainingRow): string {
  return digestOf(promptTokens, completionTokens);
}

/** A name of a prompt. No row has it. */
export function nameOfPrompt(promptTokens: ArrayLike<number>): string {
  return digestOf(promptTokens, []);
}

function digestOf(...lists: readonly ArrayLike<number>[]): string {
  const hash = createHash('sha1');
  for (const tokens of lists) {
    hash.update(`${tokens.length} `);
    const ids = Uint32Array.from(tokens);
    hash.update(new Uint8Array(ids.buffer));
  }
  return hash.digest('base64url');
}

/** Thrown in place of the result of a pass: the learner sets the records aside and begins again without them. */
export class RecordsAtFault extends HoneError {
  readonly #reasons: ReadonlyMap<string, string>;

  /** @param reasons what happened, by the name of a row or of a prompt */
  constructor(reasons: ReadonlyMap<string, string>) {
    super('INTERNAL', `training breaks on ${reasons.size} of its records: ${[...reasons.values()][0] ?? ''}`);
    this.#reasons = reasons;
  }

  /** What happened in a pass over this row, or over its prompt, alone; undefined if nothing did. */
  reasonFor(row: TrainingRow): string | undefined {
    return this.#reasons.get(nameOfRow(row)) ?? this.#reasons.get(nameOfPrompt(row.promptTokens));
  }
}
