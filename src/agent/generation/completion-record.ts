/** What the policy has reported of one completion so far, and the form in which the store takes it. */

import type { CompletionFinished, FinishReason, TokenChunk } from '../../policy/index.js';
import type { GenerationCompletion } from '../../replay/index.js';

export class CompletionRecord {
  /** Id of the generation. */
  readonly id: string;
  readonly #tokens: number[] = [];
  readonly #logprobs: number[] = [];
  readonly #sampledLogprobs: number[] = [];
  #text = '';
  #finished: CompletionFinished | null = null;

  constructor(id: string) {
    this.id = id;
  }

  get tokenCount(): number {
    return this.#tokens.length;
  }

  /** Why the completion ended; `null` while it runs. */
  get reason(): FinishReason | null {
    return this.#finished?.reason ?? null;
  }

  add(event: TokenChunk | CompletionFinished): void {
    if (event.type === 'finished') {
      this.#finished = event;
      return;
    }
    this.#text += event.text;
    this.#tokens.push(...event.tokens);
    this.#logprobs.push(...event.logprobs);
    this.#sampledLogprobs.push(...event.sampledLogprobs);
  }

  /** @param reason why the completion ended, if the policy reported no end */
  toStored(reason: 'cancelled' | 'error', finishedAtMs: number): GenerationCompletion {
    const finishReason = this.reason ?? reason;
    return {
      id: this.id,
      state: finishReason === 'cancelled' ? 'cancelled' : finishReason === 'error' ? 'aborted' : 'finished',
      finishReason,
      endOfSequence: this.#finished?.endOfSequence ?? false,
      tokens: Uint32Array.from(this.#tokens),
      text: this.#text,
      logprobs: Float32Array.from(this.#logprobs),
      sampledLogprobs: Float32Array.from(this.#sampledLogprobs),
      finishedAtMs,
    };
  }
}
