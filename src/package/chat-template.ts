/**
 * Renders the messages of a chat with the package's chat template, to the text form that the decoder was trained on.
 */

import { HoneError } from '../errors.js';
import { TemplateProgram, TemplateRefusal } from './template-program.js';
import type { ChatMessage } from './types.js';

const roles: ReadonlySet<string> = new Set<ChatMessage['role']>(['system', 'user', 'assistant']);

/** Variables of a template besides the messages, by name: `bos_token`, `eos_token` and so on. */
export type TemplateVariables = Readonly<Record<string, string>>;

export class ChatTemplate {
  readonly #program: TemplateProgram;
  readonly #variables: TemplateVariables;

  /** @throws Error of the template engine if the source does not parse */
  constructor(source: string, variables: TemplateVariables) {
    this.#program = new TemplateProgram(source);
    this.#variables = variables;
  }

  /**
   * Returns the text of a chat. By default it ends with the generation prompt, after which the answer starts.
   * @throws HoneError `INVALID_REQUEST` if the template refuses the messages
   */
  render(messages: readonly ChatMessage[], options: { readonly generationPrompt?: boolean } = {}): string {
    const { generationPrompt = true } = options;
    try {
      return this.#render(messages, generationPrompt);
    } catch (cause) {
      const description = `the model's chat template refuses them: ${cause instanceof Error ? cause.message : cause}`;
      throw invalidMessages('messages', description, cause);
    }
  }

  /**
   * Returns what the template engine lacks to render ordinary chats; `null` if it renders all of them. A chat that the
   * template itself refuses does not count, nor does one in which it adds to what is not there, as Python refuses, too.
   */
  findGap(): string | null {
    for (const messages of samples) {
      for (const generationPrompt of [true, false]) {
        try {
          this.#render(messages, generationPrompt);
        } catch (cause) {
          const reason = cause instanceof Error ? cause.message : String(cause);
          if (!(cause instanceof TemplateRefusal) && !/ on (undefined|null) values$/.test(reason)) return reason;
        }
      }
    }
    return null;
  }

  #render(messages: readonly ChatMessage[], generationPrompt: boolean): string {
    return this.#program.render({ ...this.#variables, messages, add_generation_prompt: generationPrompt });
  }
}

const user: ChatMessage = { role: 'user', content: 'Why?' };
const answer: ChatMessage = { role: 'assistant', content: '<think>\nHm.\n</think>\n\nBecause.' };

const samples: readonly (readonly ChatMessage[])[] = [
  [user],
  [user, answer],
  [user, answer, user],
  [{ role: 'system', content: 'Be brief.' }, user, { role: 'assistant', content: 'No.' }, user],
];

/** @throws HoneError `INVALID_REQUEST` that names the message with an unknown role */
export function checkRoles(messages: readonly ChatMessage[]): void {
  if (messages.length === 0) throw invalidMessages('messages', 'at least one message is needed');
  for (const [i, { role }] of messages.entries()) {
    if (!roles.has(role))
      throw invalidMessages(`messages[${i}].role`, `must be system, user or assistant, not "${role}"`);
  }
}

function invalidMessages(field: string, description: string, cause?: unknown): HoneError {
  return new HoneError('INVALID_REQUEST', `${field}: ${description}`, {
    cause,
    violations: [{ field, description }],
  });
}
