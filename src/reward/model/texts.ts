/** Encodes a completion for a reward model: prompt and completion as one text. */

import { z } from 'zod';
import { HoneError } from '../../errors.js';
import type { ChatMessage, EncodedText, TextEncoder } from '../../package/index.js';
import type { RewardedCompletion } from '../types.js';

const promptSchema = z.union([
  z.object({ prompt: z.string() }),
  z.object({
    messages: z.array(z.object({ role: z.enum(['system', 'user', 'assistant']), content: z.string() })).min(1),
  }),
]);

/**
 * Returns the tokens of a completion with its prompt.
 *
 * With a chat template it renders the messages, followed by the completion as the message of the assistant; a plain
 * prompt is the message of a user. Without a template it encodes prompt and completion as a pair of texts; the messages
 * of a chat are joined, a line each.
 * @returns `null` if the template refuses the chat or the prompt cannot be read
 */
export function encodeCompletion(encoder: TextEncoder, item: RewardedCompletion): EncodedText | null {
  const prompt = readPrompt(item.promptJson);
  if (prompt === null) return null;
  if (!encoder.readsChats) {
    return encoder.encodePair(prompt.map(({ content }) => content).join('\n'), item.text);
  }
  try {
    return encoder.encodeChat([...prompt, { role: 'assistant', content: item.text }]);
  } catch (error) {
    if (error instanceof HoneError && error.code === 'INVALID_REQUEST') return null;
    throw error;
  }
}

function readPrompt(promptJson: string): readonly ChatMessage[] | null {
  let value: unknown;
  try {
    value = JSON.parse(promptJson);
  } catch {
    return null;
  }
  const { data } = promptSchema.safeParse(value);
  if (data === undefined) return null;
  return 'messages' in data ? data.messages : [{ role: 'user', content: data.prompt }];
}
