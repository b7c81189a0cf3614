/** `hone explain`: why a generation is worth what it is, and what came of it. */

import type { Command } from 'commander';
import type {
  ExplainedMetric,
  ExplainedPreference,
  ExplainedScore,
  Explanation,
  OrUnknown,
  TrainingObstacle,
} from '../../client/index.js';
import { commandName } from '../../proto/command-name.js';
import { addConnectionFlags, type ConnectionFlags, withClient } from '../flags.js';
import { formatNumber, formatTime, print, printJson, remark } from '../output.js';

/** Adds the command. */
export function addExplainCommand(program: Command): void {
  const command = program
    .command('explain')
    .summary('why a generation is worth what it is')
    .description(
      'Shows the scores of a generation and what they fold into, the preferences it took part in, its edits, whether it may train, and the versions that learned from it.',
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
  lines.push(['learned by', describeLessons(explanation.lessons)]);
  return lines.map(([name, text]) => `${name.padEnd(10)}  ${text}`);
}

function describeMetric({ metric, state, value, weight, windowEndsAtMs }: ExplainedMetric): string {
  const end = windowEndsAtMs === undefined ? '' : formatTime(windowEndsAtMs);
  const states = {
    scored: `${formatNumber(value)}`,
    default: `${formatNumber(value)} by default: no score came before ${end}`,
    pending: `waited for${end === '' ? '' : ` until ${end}`}`,
    none: 'no score counts',
    unknown: 'in a state that this command does not know',
  };
  return `${metric}: ${states[state]}, weight ${formatNumber(weight)}`;
}

const ignored: Readonly<Record<NonNullable<ExplainedScore['ignoredBecause']>, string>> = {
  untrusted: 'the rater has no trust',
  late: 'it came, or changed, after the window',
  weightless: 'the metric has no weight',
  unknown: 'for a reason that this command does not know',
};

function describeScore({ rater, value, ignoredBecause, trust, scaled, createdAtMs }: ExplainedScore): string {
  const given = `${formatNumber(value, 6)} by ${rater}, ${formatTime(createdAtMs)}`;
  if (ignoredBecause !== undefined) return `${given}: ignored, ${ignored[ignoredBecause]}`;
  return `${given}: ${formatNumber(scaled)}, trust ${formatNumber(trust)}`;
}

function describeReward({ reward, pendingUntilMs, metrics }: Explanation): string {
  if (reward !== undefined) return formatNumber(reward);
  if (pendingUntilMs !== undefined) return `none yet: waits until ${formatTime(pendingUntilMs)}`;
  return metrics.some(({ state }) => state === 'pending') ? 'none yet: it still runs' : 'none';
}

function describePreference({ outcome, otherGenerationId, rater, metric, trust, weight }: ExplainedPreference): string {
  const how = outcome === 'tie' ? 'as good as' : `${outcome} than`;
  const ignoredNote = trust === 0 || weight === 0 ? ', does not count' : '';
  return `${how} ${otherGenerationId} on ${metric} by ${rater}, trust ${formatNumber(trust)}${ignoredNote}`;
}

const obstacleWords: Readonly<Record<OrUnknown<TrainingObstacle>, string>> = {
  running: 'it still runs',
  cancelled: 'its caller ended it',
  aborted: 'it was cut off by a crash',
  empty: 'it holds no token',
  other_package: 'it belongs to another model package',
  stale: 'the version that wrote it is too old (--max-staleness)',
  held_out: 'its prompt is held out, to compare versions on',
  pending: 'a metric is still waited for',
  no_feedback: 'nothing that counts was said of it',
  learner_off: 'the server runs without a learner',
  unknown: 'for a reason that this command does not know',
};

function describeTraining(obstacles: Explanation['obstacles']): string {
  return obstacles.length === 0
    ? 'may train'
    : `does not train: ${obstacles.map((one) => obstacleWords[one]).join('; ')}`;
}

function describeLessons(lessons: Explanation['lessons']): string {
  const named = lessons.map(({ version, state }) => `version ${version}${state === undefined ? '' : ` (${state})`}`);
  return named.length === 0 ? 'no version' : named.join(', ');
}

function nextStep({ generationId, obstacles }: Explanation): string | undefined {
  if (!obstacles.includes('no_feedback')) return undefined;
  return `Say how good it was, from 0 to 1: ${commandName()} feedback ${generationId} 0.8`;
}
