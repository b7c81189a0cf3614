/**
 * Checks that the candidate's completions still look like answers. It compares five habits (length, repetition, missing
 * ends, emptiness, sameness) with those of the live version and of the reference on the same prompts.
 *
 * A habit fails if it exceeds its bound and the difference exceeds chance. The comparison with the reference keeps many
 * small changes from adding up. Its bounds are wider, and a candidate that is no worse than the live version passes.
 */

import type { GateSettings } from '../settings.js';
import { beyondChance, estimate, finiteFigures, mean } from '../statistics.js';
import type { CheckResult, Evidence, PromptEvidence } from '../types.js';
import { promptCounts, tooFewPrompts } from './prompts.js';

type Side = 'candidate' | 'live' | 'reference';

/** A habit of a version: one number per prompt. */
interface Habit {
  readonly name: string;
  readonly of: (prompt: PromptEvidence, side: Side) => number;
  /** Whether the candidate exceeds the allowed change from `baseline`; `slack` widens the bound for the reference. */
  readonly beyond: (candidate: number, baseline: number, slack: number) => boolean;
  /** Describes the difference for people. */
  readonly say: (candidate: number, baseline: number) => string;
}

/** Fails if any habit of the candidate is worse. */
export function checkHealth({ prompts }: Evidence, settings: GateSettings): CheckResult {
  const { health } = settings;
  const measured = prompts.filter(({ candidate, live }) => candidate.length > 0 && live.length > 0);
  const short = tooFewPrompts('health', measured, health.minPrompts);
  if (short !== null) return short;
  const withReference = measured.filter(({ reference }) => reference.length > 0);
  const habits = habitsOf(measured, health);
  const found = habits.flatMap((habit) => {
    const worse = compare(habit, measured, 'live', 1, settings.standardErrors);
    if (worse !== null) return [worse];
    if (withReference.length < health.minPrompts || noWorse(habit, withReference)) return [];
    const drifted = compare(habit, withReference, 'reference', health.referenceSlack, settings.standardErrors);
    return drifted === null ? [] : [drifted];
  });
  const figures = figuresOf(habits, measured, withReference);
  return {
    check: 'health',
    outcome: found.length > 0 ? 'failed' : 'passed',
    detail:
      found.length > 0
        ? found.join('; ')
        : `on ${measured.length} prompts length, repetition, ends, emptiness and sameness are within bounds of the live version's`,
    numbers: finiteFigures({ ...figures, ...promptCounts(measured) }),
  };
}

function compare(
  habit: Habit,
  prompts: readonly PromptEvidence[],
  baseline: Side,
  slack: number,
  standardErrors: number,
): string | null {
  const [candidate, other] = [overall(habit, prompts, 'candidate'), overall(habit, prompts, baseline)];
  if (!habit.beyond(candidate, other, slack)) return null;
  const difference = estimate(prompts.map((prompt) => habit.of(prompt, 'candidate') - habit.of(prompt, baseline)));
  const away = { ...difference, mean: Math.abs(difference.mean) };
  if (!beyondChance(away, standardErrors)) return null;
  return `${habit.say(candidate, other)} of the ${baseline === 'live' ? 'live version' : 'reference'}`;
}

/** Whether the candidate is at least as near to the reference as the live version. */
function noWorse(habit: Habit, prompts: readonly PromptEvidence[]): boolean {
  const reference = overall(habit, prompts, 'reference');
  const distance = (side: Side): number => Math.abs(overall(habit, prompts, side) - reference);
  return distance('candidate') <= distance('live');
}

function overall(habit: Habit, prompts: readonly PromptEvidence[], side: Side): number {
  return mean(prompts.map((prompt) => habit.of(prompt, side)));
}

function habitsOf(prompts: readonly PromptEvidence[], health: GateSettings['health']): Habit[] {
  const { maxLengthFactor, maxRepeatedRise, maxUnendedRise, maxEmptyRise, maxSameRise } = health;
  const shared = { candidate: sharedAnswers(prompts, 'candidate'), live: sharedAnswers(prompts, 'live') };
  const answers = { ...shared, reference: sharedAnswers(prompts, 'reference') };
  return [
    {
      name: 'length_tokens',
      of: (prompt, side) => mean(prompt[side].map(({ tokens }) => tokens)),
      beyond: (candidate, baseline, slack) => {
        const most = maxLengthFactor ** slack;
        return candidate > baseline * most || candidate * most < baseline;
      },
      say: (candidate, baseline) =>
        `${candidate.toFixed(1)} tokens per completion against ${baseline.toFixed(1)} (${(candidate / baseline).toFixed(2)} times)`,
    },
    rise('repeated_share', 'of the n-grams are repeated', maxRepeatedRise, (prompt, side) =>
      mean(prompt[side].map(({ repeated }) => repeated)),
    ),
    rise('unended_share', 'of the completions have no end', maxUnendedRise, (prompt, side) =>
      mean(prompt[side].map(({ endOfSequence }) => (endOfSequence ? 0 : 1))),
    ),
    rise('empty_share', 'of the completions are empty', maxEmptyRise, (prompt, side) =>
      mean(prompt[side].map(({ empty }) => (empty ? 1 : 0))),
    ),
    rise('same_share', 'of the completions are also given to other prompts', maxSameRise, (prompt, side) =>
      mean(prompt[side].map(({ answer }) => (answers[side].has(answer) ? 1 : 0))),
    ),
  ];
}

/** A share that may not rise by more than a bound. */
function rise(name: string, what: string, bound: number, of: Habit['of']): Habit {
  const percent = (value: number): string => `${(100 * value).toFixed(1)} %`;
  return {
    name,
    of,
    beyond: (candidate, baseline, slack) => candidate - baseline > bound * slack,
    say: (candidate, baseline) => `${percent(candidate)} ${what} against ${percent(baseline)}`,
  };
}

/** Returns the answers that a version gives to more than one prompt. */
function sharedAnswers(prompts: readonly PromptEvidence[], side: Side): Set<number> {
  const seen = new Set<number>();
  const shared = new Set<number>();
  for (const prompt of prompts) {
    for (const answer of new Set(prompt[side].map((sample) => sample.answer))) {
      if (seen.has(answer)) shared.add(answer);
      seen.add(answer);
    }
  }
  return shared;
}

function figuresOf(
  habits: readonly Habit[],
  measured: readonly PromptEvidence[],
  withReference: readonly PromptEvidence[],
): Record<string, number> {
  return Object.fromEntries(
    habits.flatMap((habit) => [
      [habit.name, overall(habit, measured, 'candidate')],
      [`live_${habit.name}`, overall(habit, measured, 'live')],
      [`reference_${habit.name}`, overall(habit, withReference, 'reference')],
    ]),
  );
}
