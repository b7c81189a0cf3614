/** Turns the refusals of a hub into errors that say what to do. */

import { HoneError } from '../errors.js';
import type { HubSettings } from './settings.js';

/** What was asked for. */
export interface Asked {
  readonly id: string;
  readonly revision: string;
  /** The file, if one was asked for. */
  readonly path?: string;
  readonly settings: HubSettings;
  /** Names that are near to one that is missing. */
  readonly near: readonly string[];
}

/** Makes the error for an answer that is not 2xx, by its status, the hub's `X-Error-Code` and the text of its body. */
export function refusal(
  { status, headers }: Pick<Response, 'status' | 'headers'>,
  text: string,
  asked: Asked,
): HoneError {
  const code = headers.get('x-error-code') ?? '';
  const message = headers.get('x-error-message') ?? text.slice(0, 200);
  const { id, settings } = asked;
  const said = message.trim() === '' ? '' : ` The hub says: ${message.trim()}`;
  if (code === 'GatedRepo' || (status === 403 && /gated|access to model|awaiting/i.test(message)))
    return gated(asked, said);
  if (status === 404 || code === 'RepoNotFound') return missing(asked, code);
  if (status === 401) {
    const remedy =
      settings.token === undefined
        ? 'it does not exist, or it is private or gated: check the name, or give a token with HF_TOKEN'
        : 'the token (HF_TOKEN or the file in HF_HOME) is not valid or has expired: make a new one';
    return new HoneError('HUB_REFUSED', `the hub does not give ${id}: ${remedy}${nearText(asked)}.${said}`);
  }
  if (status === 403) {
    return new HoneError(
      'HUB_REFUSED',
      `the hub does not give ${id} (403): the token may not read it; use one with the right to read this repository.${said}`,
    );
  }
  return new HoneError('HUB_UNREACHABLE', `the hub at ${settings.endpoint} answered ${status} for ${id}.${said}`);
}

function gated({ id, settings }: Asked, said: string): HoneError {
  const token =
    settings.token === undefined
      ? 'give the token of that account with HF_TOKEN'
      : 'check that the token (HF_TOKEN or the file in HF_HOME) is of that account and may read gated repositories';
  return new HoneError(
    'HUB_REFUSED',
    `${id} is gated: accept its licence at ${settings.endpoint}/${id} with your account, then ${token}, and run the command again.${said}`,
  );
}

function missing(asked: Asked, code: string): HoneError {
  const { id, revision, path, settings } = asked;
  if (path !== undefined)
    return new HoneError('HUB_NOT_FOUND', `${id} has no file ${path} at ${revision}; run hone pull again`);
  if (code === 'RevisionNotFound') {
    return new HoneError('HUB_NOT_FOUND', `${id} has no revision ${revision}${nearText(asked, 'It has')}`);
  }
  const isPrivate = settings.token === undefined ? '; a private one needs a token (HF_TOKEN)' : '';
  return new HoneError(
    'HUB_NOT_FOUND',
    `there is no model ${id} at ${settings.endpoint}, or the token may not see it: check the name${isPrivate}${nearText(asked)}`,
  );
}

function nearText({ near }: Asked, words = 'Near names'): string {
  return near.length === 0 ? '' : `. ${words}: ${near.join(', ')}`;
}
