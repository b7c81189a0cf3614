/** `hone explain`: shows how a generation got its reward, and which versions learned from it. */

import type { Command } from 'commander';
import type {
  ExplainedMetric,
  ExplainedPreference,
  ExplainedScore,
  Explanation,
  OrUnknown,
  TrainingObstacle,
} from '../../client/index.js';
import { commandName } from '../../src/command-name.js';
import { addConnectionFlags, type ConnectionFlags, withClient } from '../flags.js';
import { formatNumber, print, printJson, remark } from '../output.js';
import { formatTime } from '../times.js';

/** Adds the command. */
export function addExplainCommand(program: Command): void {
  const command = program
    .command('explain')
    .summary('show how a generation got its reward')
    .description(
      'Shows the scores of a generation and the reward they are folded into, its preferences and edits, whether the learner may train on it, and the versions that learned from it.',
    )
    .argument('<generation>', 'id of the generation');
  addConnectionFlags(command).action(async (generationId: string, flags: ConnectionFlags) => {
    await withClient(flags, async (client, signal) => {
      const explanation = await client.explain(generationId, { signal });
      if (flags.json) printJson(explanation);
      else {
        print(...describe(explanation));
        const next = nextStep(explanation);
        if (next !== undefined) remark(next);
      }
    });
  });
}

function describe(explanation: Explanation): string[] {
  const { generationId, state, origin, editOf, version, createdAtMs, metrics, preferences, edits } = explanation;
  const from = origin === 'edit' ? `edit of ${editOf}` : `${origin} by version ${version}`;
  const lines: [string, string][] = [['generation', `${generationId}, ${from}, ${state}, ${formatTime(createdAtMs)}`]];
  for (const metric of metrics) {
    lines.push(['metric', describeMetric(metric)]);
    for (const score of metric.scores) lines.push(['', `  ${describeScore(score)}`]);
  }
  lines.push(['reward', describeReward(explanation)]);
  for (const preference of preferences) lines.push(['preference', describePreference(preference)]);
  for (const { generationId: id, reward } of edits)
    lines.push(['edit', `${id}, reward ${formatNumber(reward) || 'none'}`]);
  lines.push(['training', describeTraining(explanation.obstacles)]);
  if (explanation.setAsideBecause !== '') lines.push(['', explanation.setAsideBecause]);
  lines.push(['learned by', describeLessons(explanation.lessons)]);
  return lines.map(([name, text]) => `${name.padEnd(10)}  ${text}`);
}

function describeMetric({ metric, state, value, weight, windowEndsAtMs }: ExplainedMetric): string {
  const end = windowEndsAtMs === undefined ? '' : formatTime(windowEndsAtMs);
  const states = {
    scored: `${formatNumber(value)}`,
    default: `${formatNumber(value)} by default: no score came before ${end}`,
    pending: `waiting for a score${end === '' ? '' : ` until ${end}`}`,
    none: 'no score counts',
    unknown: 'in a state that this command does not know',
  };
  return `${metric}: ${states[state]}, weight ${formatNumber(weight)}`;
}

const ignored: Readonly<Record<NonNullable<ExplainedScore['ignoredBecause']>, string>> = {
  untrusted: 'the trust of the rater is 0',
  late: 'it came, or changed, after the window',
  weightless: 'the weight of the metric is 0',
  out_of_range: 'it is outside the range of the metric (--reward-settings)',
  unknown: 'for a reason that this command does not know',
};

function describeScore({ rater, value, ignoredBecause, trust, scaled, createdAtMs }: ExplainedScore): string {
  const given = `${formatNumber(value, 6)} by ${rater}, ${formatTime(createdAtMs)}`;
  if (ignoredBecause !== undefined) return `${given}: ignored, ${ignored[ignoredBecause]}`;
  return `${given}: ${formatNumber(scaled)}, trust ${formatNumber(trust)}`;
}

function describeReward({ reward, pendingUntilMs, metrics }: Explanation): string {
  if (reward !== undefined) return formatNumber(reward);
  if (pendingUntilMs !== undefined) return `none yet: waiting for scores until ${formatTime(pendingUntilMs)}`;
  return metrics.some(({ state }) => state === 'pending') ? 'none yet: the generation is still running' : 'none';
}

function describePreference({ outcome, otherGenerationId, rater, metric, trust, weight }: ExplainedPreference): string {
  const how = outcome === 'tie' ? 'as good as' : `${outcome} than`;
  const ignoredNote = trust === 0 || weight === 0 ? ', does not count' : '';
  return `${how} ${otherGenerationId} on ${metric} by ${rater}, trust ${formatNumber(trust)}${ignoredNote}`;
}

const obstacleWords: Readonly<Record<OrUnknown<TrainingObstacle>, string>> = {
  running: 'it is still running',
  cancelled: 'its caller ended it',
  aborted: 'a crash cut it off',
  empty: 'it holds no token',
  other_package: 'it belongs to another model package',
  stale: 'the version that wrote it is too old (--max-staleness)',
  held_out: 'its prompt is held out to compare versions',
  pending: 'a metric is still waiting for a score',
  no_feedback: 'it has no feedback that counts',
  learner_off: 'the server runs without a learner',
  unfit: 'the package cannot hold it',
  set_aside: 'the learner has set it aside',
  unknown: 'for a reason that this command does not know',
};

function describeTraining(obstacles: Explanation['obstacles']): string {
  return obstacles.length === 0
    ? 'the learner may train on it'
    : `the learner does not train on it: ${obstacles.map((one) => obstacleWords[one]).join('; ')}`;
}

function describeLessons(lessons: Explanation['lessons']): string {
  const named = lessons.map(({ version, state }) => `version ${version}${state === undefined ? '' : ` (${state})`}`);
  return named.length === 0 ? 'no version' : named.join(', ');
}

function nextStep({ generationId, obstacles }: Explanation): string | undefined {
  if (!obstacles.includes('no_feedback')) return undefined;
  return `To score it, from 0 to 1: ${commandName()} feedback ${generationId} 0.8`;
}
