/**
 * The tokens that end a completion.
 *
 * `config.json`, `generation_config.json` and `tokenizer_config.json` may each name some, and a completion ends with any of
 * them. The chat template may end a turn with a further one. It ends completions too, because an answer is over where
 * the template ends it. It never stands alone: a package whose three files name no end token is refused.
 */

import type { ChatTemplate } from './chat-template.js';
import { invalidPackage } from './files.js';
import type { ChatMessage, DecoderConfig, PackageTokenizer } from './types.js';

/** The end tokens of a package, as its configuration has them. */
export type EndTokens = Pick<DecoderConfig, 'eosTokenIds' | 'turnEndTokenId' | 'textEndTokenId'>;

/** The end tokens that a field of a file names. */
export interface NamedEndTokens {
  readonly file: string;
  readonly field: string;
  readonly ids: readonly number[];
}

/**
 * Returns the end tokens of all files together.
 * @param named by the files of the configuration, the one that counts most first
 * @throws HoneError `PACKAGE_INVALID` if no file names one, or if one is no token of the package
 */
export function endTokens(
  root: string,
  named: readonly NamedEndTokens[],
  tokenizer: Pick<PackageTokenizer, 'eosTokenId' | 'vocabularySize' | 'findTurnEnd'>,
): EndTokens {
  for (const { file, field, ids } of named) {
    const strange = ids.find((id) => id >= tokenizer.vocabularySize);
    if (strange === undefined) continue;
    throw invalidPackage(
      root,
      file,
      `${field} is ${strange}, but the last of the tokens in tokenizer.json is ${tokenizer.vocabularySize - 1}; ` +
        'correct it, or take all files from the same model',
    );
  }
  const { eosTokenId } = tokenizer;
  const configured = named.flatMap(({ ids }) => ids);
  const declared = [...new Set(eosTokenId === null ? configured : [...configured, eosTokenId])];
  const turnEnd = tokenizer.findTurnEnd(declared);
  const textEnd = eosTokenId ?? declared[0];
  if (textEnd === undefined) throw noEndToken(root, turnEnd);
  return {
    eosTokenIds: turnEnd === null ? declared : [...new Set([...declared, turnEnd])],
    turnEndTokenId: turnEnd ?? textEnd,
    textEndTokenId: textEnd,
  };
}

function noEndToken(root: string, turnEnd: number | null) {
  const hint = turnEnd === null ? '' : `; the chat template ends a turn with token ${turnEnd}`;
  return invalidPackage(
    root,
    'config.json',
    'names no end token: eos_token_id is missing here and in generation_config.json, and eos_token in ' +
      `tokenizer_config.json; add eos_token_id, the id of the token with which an answer ends${hint}`,
  );
}

/** A token that `tokenizer.json` lists beside its vocabulary. */
export interface AddedToken {
  readonly id: number;
  readonly content: string;
  readonly special: boolean;
}

/** Words that no template writes by itself. */
const question: ChatMessage = { role: 'user', content: 'HoneQuestion' };
const answer: ChatMessage = { role: 'assistant', content: 'HoneAnswer' };

/**
 * Returns the token that a chat template writes behind an answer, or `null` if it writes none there. White space between
 * the two, or behind the token, does not belong to the end.
 * @param endTokens of the package's files
 */
export function findTurnEnd(
  template: ChatTemplate,
  addedTokens: readonly AddedToken[],
  endTokens: readonly number[],
): number | null {
  const ends = new Set(endTokens);
  const behindLast = textBehindAnswer(template, [question, answer]);
  const atEnd = tokenAtStart(
    behindLast,
    addedTokens.filter(({ id, special }) => special || ends.has(id)),
  );
  if (atEnd !== null) return atEnd;
  // Some templates end a turn only if another one follows. There a special token may also begin the next turn, so only
  // an end token counts.
  const behindFormer = textBehindAnswer(template, [question, answer, question]);
  return tokenAtStart(
    behindFormer,
    addedTokens.filter(({ id }) => ends.has(id)),
  );
}

/** Returns the rendered text behind the answer, or `''` if the template refuses the chat or changes the answer. */
function textBehindAnswer(template: ChatTemplate, messages: readonly ChatMessage[]): string {
  let rendered: string;
  try {
    rendered = template.render(messages, { generationPrompt: false });
  } catch {
    return '';
  }
  const at = rendered.lastIndexOf(answer.content);
  return at < 0 ? '' : rendered.slice(at + answer.content.length).trimStart();
}

/** Returns the longest token with which a text starts. */
function tokenAtStart(text: string, tokens: readonly AddedToken[]): number | null {
  const found = tokens
    .filter(({ content }) => content !== '' && text.startsWith(content))
    .sort((a, b) => b.content.length - a.content.length);
  return found[0]?.id ?? null;
}
