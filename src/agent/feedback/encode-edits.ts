/** Encodes edits: a person's own text becomes tokens that the policy could have sampled after the prompt. */

import { v7 as uuidv7 } from 'uuid';
import { HoneError } from '../../errors.js';
import type { Package } from '../../package/index.js';
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
  replay: Pick<ReplayStore, 'readGenerations'>,
): Promise<(EditWrite | HoneError)[]> {
  const ids = [...new Set(drafts.map(({ generationId }) => generationId))];
  const generations = new Map((await replay.readGenerations(ids)).map((generation) => [generation.id, generation]));
  return drafts.map((draft) => {
    try {
      const generation = generations.get(draft.generationId);
      if (generation === undefined) throw generationNotFound(draft.generationId);
      return { ...draft, id: uuidv7(), tokens: encodeEdit(draft.text, generation, pkg) };
    } catch (thrown) {
      return HoneError.from(thrown);
    }
  });
}

function encodeEdit(text: string, { promptTokens, packageDigest }: Generation, pkg: Package): Uint32Array {
  if (packageDigest !== pkg.digest) {
    const description = 'belongs to another model package than the one served: its prompt has other tokens';
    throw invalidRequest([{ field: 'generation_id', description }]);
  }
  const room = pkg.config.contextLength - promptTokens.length;
  if (text.length > room * maxCharactersPerToken) throw tooLong(`${text.length} characters`, room);
  const tokens = [...pkg.tokenizer.encodeCompletion(text), ...endOfSequence(pkg)];
  if (tokens.length > room) throw tooLong(`${tokens.length} tokens`, room);
  return Uint32Array.from(tokens);
}

/** The token that ends a completion. If the package names several, it is the tokenizer's own, or else the first. */
function endOfSequence({ config, tokenizer }: Package): number[] {
  const { eosTokenIds } = config;
  const own = eosTokenIds.find((token) => token === tokenizer.eosTokenId);
  return own === undefined ? eosTokenIds.slice(0, 1) : [own];
}

function tooLong(what: string, room: number): HoneError {
  const description = `is too long: ${what}, the prompt leaves room for ${room} tokens with the end of sequence`;
  return invalidRequest([{ field: 'edit.text', description }]);
}
