/** Encodes edits: a person's own text becomes tokens that the policy could have sampled after the prompt. */

import { v7 as uuidv7 } from 'uuid';
import { HoneError } from '../../errors.js';
import type { Package, TextEncoding } from '../../package/index.js';
import type { EditWrite, Generation, ReplayStore } from '../../replay/index.js';
import { generationNotFound } from '../explain.js';
import { maxCharactersPerToken } from '../generation/check-request.js';
import { invalidRequest } from '../request-errors.js';
import type { EditDraft } from './check-feedback.js';

/**
 * Gives edits their tokens and ids, in order. An edit that does not fit its generation becomes an error at its place.
 * @throws HoneError `QUEUE_FULL`, `WORKER_CRASHED` if the store cannot be read
 */
export async function encodeEdits(
  drafts: readonly EditDraft[],
  pkg: Package,
  encoding: TextEncoding,
  replay: Pick<ReplayStore, 'readGenerations'>,
): Promise<(EditWrite | HoneError)[]> {
  const ids = [...new Set(drafts.map(({ generationId }) => generationId))];
  const generations = new Map((await replay.readGenerations(ids)).map((generation) => [generation.id, generation]));
  const edits: (EditWrite | HoneError)[] = [];
  // One after another, so that the texts of other callers come between.
  for (const draft of drafts) {
    try {
      const generation = generations.get(draft.generationId);
      if (generation === undefined) throw generationNotFound(draft.generationId);
      edits.push({ ...draft, id: uuidv7(), tokens: await encodeEdit(draft.text, generation, pkg, encoding) });
    } catch (thrown) {
      edits.push(HoneError.from(thrown));
    }
  }
  return edits;
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
  if (text.length > room * maxCharactersPerToken) throw tooLong(`${text.length} characters`, room);
  const tokens = [...(await encoding.encode({ as: 'completion', text })), endOf(promptJson, pkg)];
  if (tokens.length > room) throw tooLong(`${tokens.length} tokens`, room);
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
