/**
 * V(x) by prompt: a level that follows the policy, plus an effect that a regression predicts from the prompt.
 *
 *     V(x) = level + effect(x)
 *
 * The effect is a ridge regression of R - beta h on fixed features of the prompt (prompt-sketch.ts). It is fitted on
 * the last thousand completions, with h as each was last seen. Whenever a quarter of them is new, the columns and the
 * shrinkage with the least leave-one-out error are chosen again; one choice is no column, and then V is the running
 * mean. The level is the running mean of R - beta h - effect, so it follows the policy as fast as a mean does.
 *
 * A completion that is used again is part of the regression. Its V is predicted from the others alone, because its own
 * reward must not be subtracted from itself.
 */

import type { Member } from '../experience/members.js';
import { chooseRidge, meanAlone, PromptRidge, type RidgeChoice } from './prompt-ridge.js';
import { type PromptSketch, PromptSketcher } from './prompt-sketch.js';
import { RunningMean } from './running-mean.js';
import type { BaselineState, Observation, ValueBaseline } from './types.js';
import { packWindow, unpackWindow } from './window-state.js';

/** Features of prompts, [2 D] each: `TrainingEngine.promptFeatures` under the base model. */
export type DescribePrompts = (prompts: readonly ArrayLike<number>[]) => Promise<Float32Array[]>;

/** Largest number of completions in the regression. */
const windowSize = 1024;
/** Fewest completions for a regression. */
const fewest = 16;

export class PromptBaseline implements ValueBaseline {
  readonly #describe: DescribePrompts;
  readonly #sketcher = new PromptSketcher();
  readonly #level = new RunningMean();
  /** By group key. */
  readonly #prompts = new Map<string, PromptSketch>();
  /** By generation, oldest first; the first `#fitted` are in the regression. */
  readonly #window = new Map<string, Observation>();
  #fitted = 0;
  #choice: RidgeChoice = meanAlone;
  #ridge: PromptRidge | undefined;
  /** The row of each generation in the regression. */
  readonly #rowOf = new Map<string, number>();
  #beta = 0;

  constructor(describe: DescribePrompts) {
    this.#describe = describe;
  }

  async values(members: readonly Member[]): Promise<Float32Array> {
    // Only a completion alone in its group needs V: without one, no prompt needs a forward pass.
    if (members.some(({ group }) => members.filter((other) => other.group === group).length === 1)) {
      await this.#meet(members);
    }
    return Float32Array.from(members, (member) => this.#level.value + this.#effect(member));
  }

  observe(members: readonly Member[], h: ArrayLike<number>, beta: number): void {
    this.#beta = beta;
    const errors: number[] = [];
    for (const [i, member] of members.entries()) {
      const { group, reward } = member;
      // The rewards of a preference pair state how the two differ, not how good they are.
      if (group.kind === 'preference') continue;
      const error = reward - beta * (h[i] as number) - this.#effect(member);
      if (Number.isFinite(error)) errors.push(error);
    }
    this.#level.addMeanOf(errors);
    for (const [i, member] of members.entries()) this.#remember(member, h[i] as number);
    if (this.#window.size - this.#fitted >= Math.max(fewest, this.#fitted) / 4) this.#choose();
    else this.#ridge?.fit(this.#targets());
  }

  generationIds(): readonly string[] {
    return [...this.#window.keys()];
  }

  retain(existing: ReadonlySet<string>): void {
    const gone = [...this.#window.keys()].filter((id) => !existing.has(id));
    if (gone.length === 0) return;
    for (const id of gone) this.#window.delete(id);
    this.#choose();
  }

  state(): BaselineState {
    const { window, tensors } = packWindow(this.#window, {
      beta: this.#beta,
      fitted: this.#fitted,
      choice: this.#choice,
    });
    return { numbers: this.#level.state(), window, tensors };
  }

  restore(state: BaselineState): void {
    this.#level.restore(state.numbers);
    this.#window.clear();
    this.#prompts.clear();
    for (const [id, observation] of unpackWindow(state)) {
      this.#window.set(id, observation);
      this.#prompts.set(observation.groupKey, observation.prompt);
    }
    this.#beta = state.window?.beta ?? 0;
    this.#choice = state.window?.choice ?? meanAlone;
    this.#fit(Math.min(state.window?.fitted ?? 0, this.#window.size));
  }

  async #meet(members: readonly Member[]): Promise<void> {
    const strangers = new Map<string, Uint32Array>();
    for (const { group } of members) {
      if (group.kind === 'scores' && !this.#prompts.has(group.key)) strangers.set(group.key, group.promptTokens);
    }
    if (strangers.size === 0) return;
    const prompts = [...strangers];
    const features = await this.#describe(prompts.map(([, tokens]) => tokens));
    for (const [i, [key, tokens]] of prompts.entries()) {
      this.#prompts.set(key, this.#sketcher.sketch(features[i] as Float32Array, tokens));
    }
  }

  #effect(member: Member): number {
    const prompt = this.#prompts.get(member.group.key);
    if (this.#ridge === undefined || prompt === undefined) return 0;
    const row = this.#rowOf.get(this.#idOf(member));
    return row === undefined ? this.#ridge.effect(prompt) : this.#ridge.effectWithout(row);
  }

  #remember(member: Member, h: number): void {
    const { group, reward } = member;
    const prompt = this.#prompts.get(group.key);
    if (group.kind === 'preference' || prompt === undefined || !Number.isFinite(reward - h)) return;
    const id = this.#idOf(member);
    const before = this.#window.get(id);
    if (before === undefined) this.#window.set(id, { groupKey: group.key, prompt, reward, h });
    else Object.assign(before, { reward, h });
  }

  /**
   * The generation id under which a member was observed; the first id if it was not. The order of reading plays no
   * part.
   */
  #idOf({ rewards }: Member): string {
    const ids = [...rewards.keys()].sort();
    return ids.find((id) => this.#window.has(id)) ?? ids[0] ?? '';
  }

  #choose(): void {
    for (const id of this.#window.keys()) {
      if (this.#window.size <= windowSize) break;
      this.#window.delete(id);
    }
    const observed = [...this.#window.values()];
    const keys = new Set(observed.map(({ groupKey }) => groupKey));
    for (const key of this.#prompts.keys()) if (!keys.has(key)) this.#prompts.delete(key);
    this.#choice =
      observed.length < fewest
        ? meanAlone
        : chooseRidge(
            observed.map(({ prompt }) => prompt),
            this.#targets(observed),
          );
    this.#fit(observed.length);
  }

  /** Fits the chosen regression on the first `rows` completions of the window. */
  #fit(rows: number): void {
    this.#fitted = rows;
    this.#rowOf.clear();
    this.#ridge = undefined;
    if (this.#choice.words.length === 0 && !this.#choice.sketch) return;
    const fitted = [...this.#window].slice(0, rows);
    for (const [i, [id]] of fitted.entries()) this.#rowOf.set(id, i);
    this.#ridge = new PromptRidge(
      fitted.map(([, { prompt }]) => prompt),
      this.#choice,
    );
    this.#ridge.fit(this.#targets());
  }

  #targets(observed = [...this.#window.values()].slice(0, this.#fitted)): Float64Array {
    return Float64Array.from(observed, ({ reward, h }) => reward - this.#beta * h);
  }
}
