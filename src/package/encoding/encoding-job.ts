/** A text to encode, and the method of the tokenizer that encodes it. It is plain data, so that a thread can do it. */

import type { ChatMessage, PackageTokenizer } from '../types.js';

export type EncodingJob =
  | { readonly as: 'text' | 'completion'; readonly text: string }
  | {
      readonly as: 'chat';
      readonly messages: readonly ChatMessage[];
      /** Most tokens of interest: a longer chat is refused. */
      readonly maxTokens: number;
    };

/** What a message of a chat costs beside its text, in characters: the template is rendered for each of them. */
const charactersPerMessage = 64;

/** The tokens. @throws HoneError `INVALID_REQUEST` if the chat template refuses the chat, `PROMPT_TOO_LONG` */
export function encodeJob(tokenizer: PackageTokenizer, job: EncodingJob): number[] {
  if (job.as === 'chat') return tokenizer.encodeChat(job.messages, job.maxTokens);
  return job.as === 'text' ? tokenizer.encodeText(job.text) : tokenizer.encodeCompletion(job.text);
}

/** What a job costs, in characters. */
export function costOf(job: EncodingJob): number {
  if (job.as !== 'chat') return job.text.length;
  return job.messages.reduce((sum, { content }) => sum + content.length + charactersPerMessage, 0);
}
