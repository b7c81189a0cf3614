/** The package's chat template: messages to the text that the decoder was trained on. */

import { Template } from '@huggingface/jinja';
import { HoneError } from '../errors.js';
import type { ChatMessage } from './types.js';

const roles: ReadonlySet<string> = new Set<ChatMessage['role']>(['system', 'user', 'assistant']);

/** What a template may refer to besides the messages: `bos_token` and its like, by name. */
export type TemplateVariables = Readonly<Record<string, string>>;

export class ChatTemplate {
  readonly #template: Template;
  readonly #variables: TemplateVariables;

  /** @throws Error of the template engine when the source is not a template */
  constructor(source: string, variables: TemplateVariables) {
    this.#template = new Template(source);
    this.#variables = variables;
  }

  /**
   * The text of a chat, by default with the generation prompt, which an answer follows.
   * @throws HoneError `INVALID_REQUEST` when the template refuses it
   */
  render(messages: readonly ChatMessage[], options: { readonly generationPrompt?: boolean } = {}): string {
    const { generationPrompt = true } = options;
    try {
      return this.#template.render({ ...this.#variables, messages, add_generation_prompt: generationPrompt });
    } catch (cause) {
      const description = `the model's chat template refuses them: ${cause instanceof Error ? cause.message : cause}`;
      throw invalidMessages('messages', description, cause);
    }
  }
}

/** @throws HoneError `INVALID_REQUEST` naming the message whose role is unknown */
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
