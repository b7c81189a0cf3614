/** One completion, from its first token to its end. */

import type { TokenBytes, TokenDecoder } from '../../package/index.js';
import { ByteDecoder } from '../../package/token-decoder.js';
import type { FinishReason } from '../completion-events.js';
import type { StepLogits } from '../graph/decoder.js';
import type { StepMessage } from '../messages.js';
import { Sampler, type SamplingScratch } from '../sampling/sampler.js';
import { StopText } from '../sampling/stop-text.js';
import type { ActiveRequest } from './active-request.js';

/** How a sequence ended. */
export interface SequenceEnd {
  readonly reason: FinishReason;
  readonly endOfSequence: boolean;
}

/** The parts that all sequences of a worker share. */
export interface SequenceContext {
  readonly tokenBytes: TokenBytes;
  readonly scratch: SamplingScratch;
  readonly contextLength: number;
  readonly eos: ReadonlySet<number>;
}

export class Sequence {
  readonly request: ActiveRequest;
  readonly completion: number;
  /** Columns of keys and values that are promised to it. */
  readonly columns: number;
  readonly tokens: number[] = [];
  /** Tokens to take instead of drawing any. */
  readonly #forced: readonly number[] | undefined;
  readonly #limit: number;
  readonly #eos: ReadonlySet<number>;
  readonly #sampler: Sampler;
  readonly #decoder: TokenDecoder;
  readonly #text: StopText;

  constructor(request: ActiveRequest, completion: number, context: SequenceContext) {
    const { sampling, promptTokens, completions } = request.spec;
    this.request = request;
    this.completion = completion;
    this.columns = request.columns.completion;
    this.#forced = completions[completion]?.forced;
    // The last token is never fed to the model and would need no room in the context. It is counted anyway, as in the
    // agent.
    this.#limit = this.#forced?.length ?? Math.min(sampling.maxTokens, context.contextLength - promptTokens.length);
    this.#eos = context.eos;
    this.#sampler = new Sampler(sampling, promptTokens, completions[completion]?.seed ?? 0, context.scratch);
    this.#decoder = new ByteDecoder(context.tokenBytes);
    this.#text = new StopText(this.#forced === undefined ? sampling.stop : []);
  }

  /** The last token, which the next step feeds to the model. */
  get token(): number {
    return this.tokens[this.tokens.length - 1] as number;
  }

  /**
   * Draws the next token and reports it.
   * @returns how the sequence ended with it, or `null` if it goes on
   * @throws HoneError `INTERNAL` if the logits are not finite
   */
  advance(
    { data, vocabularySize, topProbabilities }: StepLogits,
    row: number,
    message: StepMessage,
  ): SequenceEnd | null {
    const { ignoreEos, topLogprobs } = this.request.spec.sampling;
    const forced = this.#forced?.[this.tokens.length];
    const [offset, top] = [row * vocabularySize, topProbabilities[row]];
    const sampled =
      forced === undefined ? this.#sampler.sample(data, offset, top) : this.#sampler.take(forced, data, offset, top);
    this.tokens.push(sampled.token);
    const { tokens } = message;
    tokens.request.push(this.request.id);
    tokens.completion.push(this.completion);
    tokens.token.push(sampled.token);
    tokens.logprob.push(sampled.logprob);
    tokens.sampledLogprob.push(sampled.sampledLogprob);
    const ends = this.#eos.has(sampled.token);
    const isEnd = ends && !ignoreEos && forced === undefined;
    // An end token has no part in the text, also if the tokenizer does not list it as a special token.
    tokens.text.push(isEnd ? '' : this.#text.push(this.#decoder.push(sampled.token)));
    if (topLogprobs > 0) tokens.top[tokens.token.length - 1] = sampled.top;
    const last = this.tokens.length >= this.#limit;
    if (forced !== undefined) return last ? { reason: 'stop', endOfSequence: ends } : null;
    if (isEnd) return { reason: 'stop', endOfSequence: true };
    if (this.#text.stopped) return { reason: 'stop', endOfSequence: false };
    return last ? { reason: 'length', endOfSequence: false } : null;
  }

  /** Reports the end, with the text that was held back. */
  finish({ reason, endOfSequence }: SequenceEnd, message: StepMessage): void {
    const text = this.#text.push(this.#decoder.flush()) + this.#text.flush();
    message.finished.push({ request: this.request.id, completion: this.completion, reason, endOfSequence, text });
  }
}
