/** Encodes edits: a person's own text becomes tokens that the policy could have sampled after the prompt. */

import { v7 as uuidv7 } from 'uuid';
import { HoneError } from '../../errors.js';
import type { Package, TextEncoding } from '../../package/index.js';
import type { EditWrite, Generation, ReplayStore } from '../../replay/index.js';
import { generationNotFound } from '../explain.js';
import { checkKnownTokens } from '../known-tokens.js';
import { invalidRequest } from '../request-errors.js';
import type { EditDraft } from './check-feedback.js';

/**
 * Gives edits their tokens and ids, in order. An edit that does not fit its generation becomes an error at its place.
 * @throws HoneError `QUEUE_FULL`, `WORKER_CRASHED` if the store cannot be read or the texts cannot be encoded
 */
export async function encodeEdits(
  drafts: readonly EditDraft[],
  pkg: Package,
  encoding: TextEncoding,
  replay: Pick<ReplayStore, 'readGenerations'>,
): Promise<(EditWrite | HoneError)[]> {
  const edits: (EditWrite | HoneError)[] = [];
  for (let from = 0; from < drafts.length; from += editsPerRead) {
    const some = drafts.slice(from, from + editsPerRead);
    const ids = [...new Set(some.map(({ generationId }) => generationId))];
    const generations = new Map((await replay.readGenerations(ids)).map((generation) => [generation.id, generation]));
    // One after another, so that the texts of other callers come between.
    for (const draft of some) edits.push(await toEdit(draft, generations.get(draft.generationId), pkg, encoding));
  }
  return edits;
}

/** Generations that are in memory at once: each comes with its prompt, its text and all of its numbers. */
const editsPerRead = 16;

async function toEdit(
  draft: EditDraft,
  generation: Generation | undefined,
  pkg: Package,
  encoding: TextEncoding,
): Promise<EditWrite | HoneError> {
  try {
    if (generation === undefined) throw generationNotFound(draft.generationId);
    return { ...draft, id: uuidv7(), tokens: await encodeEdit(draft.text, generation, pkg, encoding) };
  } catch (thrown) {
    const error = HoneError.from(thrown);
    // Nothing is written yet, so the whole batch can be sent again if the fault is not the item's.
    if (error.kind !== 'invalid_argument' && error.kind !== 'not_found') throw error;
    return error;
  }
}

async function encodeEdit(
  text: string,
  { promptTokens, promptJson, packageDigest }: Generation,
  pkg: Package,
  encoding: TextEncoding,
): Promise<Uint32Array> {
  if (packageDigest !== pkg.digest) {
    const description = 'belongs to another model package than the one served: its prompt has other tokens';
    throw invalidRequest([{ field: 'generation_id', description }]);
  }
  const room = pkg.config.contextLength - promptTokens.length;
  if (text.length > room * pkg.tokenizer.charactersPerToken) throw tooLong(`${text.length} characters`, room);
  const tokens = [...(await encoding.encode({ as: 'completion', text })), endOf(promptJson, pkg)];
  if (tokens.length > room) throw tooLong(`${tokens.length} tokens`, room);
  checkKnownTokens(tokens, pkg.config, 'edit.text');
  return Uint32Array.from(tokens);
}

/** Returns the token that ends an answer to this prompt: after a chat, what ends a turn in the chat template. */
function endOf(promptJson: string, { config }: Package): number {
  // The store has the prompt of a chat in this form, and no plain prompt.
  return promptJson.startsWith('{"messages":') ? config.turnEndTokenId : config.textEndTokenId;
}

function tooLong(what: string, room: number): HoneError {
  const description = `is too long: ${what}, the prompt leaves room for ${room} tokens with the end of sequence`;
  return invalidRequest([{ field: 'edit.text', description }]);
}
