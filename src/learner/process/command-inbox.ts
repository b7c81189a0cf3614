/**
 * The commands that the learner has not carried out yet. It takes them between two steps.
 *
 * Commands about weights are kept one by one, in their order. Any other command only asks for something to happen, so
 * however often it arrives, it is kept once.
 */

import { WakeUp } from '../../process/wake-up.js';
import type { RunnerCommand } from './messages.js';

/** A command that may replace the weights in training. */
export type WeightsCommand = Extract<RunnerCommand, { readonly type: 'live' | 'rejected' | 'erased' }>;

export type Request = Exclude<RunnerCommand, WeightsCommand>['type'];

export class CommandInbox {
  readonly #weights: WeightsCommand[] = [];
  readonly #requests = new Set<Request>();
  readonly #wakeUp = new WakeUp();

  put(command: RunnerCommand): void {
    if (command.type === 'live' || command.type === 'rejected' || command.type === 'erased') {
      this.#weights.push(command);
    } else {
      this.#requests.add(command.type);
    }
    this.#wakeUp.call();
  }

  /** Takes the oldest command about weights. */
  takeWeightsCommand(): WeightsCommand | undefined {
    return this.#weights.shift();
  }

  /** Takes a request. Returns whether it was there. */
  take(request: Exclude<Request, 'stop'>): boolean {
    return this.#requests.delete(request);
  }

  /** True from the first `stop` on. */
  get stopRequested(): boolean {
    return this.#requests.has('stop');
  }

  get isEmpty(): boolean {
    return this.#weights.length === 0 && this.#requests.size === 0;
  }

  /**
   * Resolves when the inbox is not empty, or after `ms`.
   * @param ms null waits for a command alone
   */
  async wait(ms: number | null): Promise<void> {
    if (this.isEmpty) await this.#wakeUp.wait(ms);
  }
}
