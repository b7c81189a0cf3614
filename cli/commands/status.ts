/** `hone status`: shows the state of the server, once or repeatedly. */

import { setTimeout as delay } from 'node:timers/promises';
import type { Command } from 'commander';
import type {
  MetricSettings,
  RaterStatus,
  RewardSettings,
  ScoresOutsideRange,
  ServerStatus,
} from '../../client/index.js';
import { addConnectionFlags, type ConnectionFlags, parseNumber, withClient } from '../flags.js';
import { clearScreen, formatAge, formatBytes, formatDigest, formatNumber, print, printJson } from '../output.js';
import { describeRollout } from './mode.js';

interface StatusFlags extends ConnectionFlags {
  readonly watch?: boolean;
  readonly interval: number;
}

/** Adds the command. */
export function addStatusCommand(program: Command): void {
  const command = program
    .command('status')
    .summary('show the state of the server, its store and its learner')
    .description('Shows the live version, the contents of the store and the state of the learner.')
    .option('--watch', 'repeat until Ctrl-C')
    .option('--interval <seconds>', 'with --watch: time between two updates', parseNumber, 1);
  addConnectionFlags(command).action(async (flags: StatusFlags) => {
    await withClient(flags, async (client, signal) => {
      for (;;) {
        const status = await client.status({ signal });
        if (flags.json) {
          printJson(status);
        } else {
          if (flags.watch) clearScreen();
          print(...describe(status));
        }
        if (!flags.watch) return;
        await delay(Math.max(0.1, flags.interval) * 1000, undefined, { signal });
        if (!flags.json && !process.stdout.isTTY) print('');
      }
    });
  });
}

function describeBuffer(buffer: ServerStatus['learner']['buffer']): string {
  const { completions, groups, pairs, pending, oldestAtMs, usesPerCompletion, staleness } = buffer;
  const parts = [`may train on ${completions} completions of ${groups} prompts and ${pairs} pairs`];
  if (pending > 0) parts.push(`${pending} rewards pending`);
  if (oldestAtMs !== undefined) parts.push(`oldest ${formatAge(Date.now() - oldestAtMs)}`);
  if (usesPerCompletion !== undefined) parts.push(`used ${formatNumber(usesPerCompletion)} times each`);
  if (staleness.length > 1)
    parts.push(`versions back: ${staleness.map((count, back) => `${back}:${count}`).join(' ')}`);
  return parts.join(', ');
}

function describeEngine({ engine, memoryBytes }: ServerStatus['learner']): string {
  return memoryBytes === undefined ? engine : `${engine}, at most ${formatBytes(memoryBytes)}`;
}

function describeSetAside({ setAside }: ServerStatus['learner']): string {
  const { unfit = 0, tooLarge = 0, broke = 0 } = setAside ?? {};
  const parts: string[] = [];
  if (unfit > 0) parts.push(`${unfit} that the package cannot hold`);
  if (tooLarge > 0) parts.push(`${tooLarge} larger than its memory`);
  if (broke > 0) parts.push(`${broke} that training breaks on`);
  return parts.length === 0 ? '' : `set aside: ${parts.join(', ')}; events name them`;
}

function describeRoom(replay: ServerStatus['replay']): string {
  const { oldestGenerationAtMs, usedBytes, maxBytes, maxAgeMs, preferences, edits } = replay;
  const bound = maxBytes === undefined ? '' : ` of ${formatBytes(maxBytes)}`;
  const parts = [`${preferences} preferences, ${edits} edits`, `${formatBytes(usedBytes)}${bound} in use`];
  if (oldestGenerationAtMs !== undefined) parts.push(`oldest ${formatAge(Date.now() - oldestGenerationAtMs)}`);
  if (maxAgeMs !== undefined) parts.push(`none older than ${formatAge(maxAgeMs)}`);
  return parts.join(', ');
}

function describeTrouble({ failure, logBytes, logHeldSinceMs }: ServerStatus['replay']): [string, string][] {
  const lines: [string, string][] = [];
  if (failure !== undefined) lines.push(['', `cannot be used: ${failure.code}: ${failure.message}`]);
  if (logHeldSinceMs !== undefined) {
    const since = formatAge(Date.now() - logHeldSinceMs);
    lines.push(['', `another program has kept its log of ${formatBytes(logBytes)} from being emptied for ${since}`]);
  }
  return lines;
}

function describe(status: ServerStatus): string[] {
  const { live, serving, replay, learner, exploration, lastSwap } = status;
  const figures = [
    ['loss', learner.loss],
    ['mean reward', learner.meanReward],
    ['KL', learner.kl],
    ['ms per step', learner.stepMs],
    ['cores', learner.processorShare],
  ] as const;
  const known = figures.filter(([, value]) => value !== undefined);
  const lines: [string, string][] = [
    [
      'server',
      `hone ${status.serverVersion}, up ${formatAge(Date.now() - status.startedAtMs)}${status.draining ? ', draining' : ''}`,
    ],
    [
      'policy',
      `${status.packageName}, version ${live.number} (${live.origin}), adapter ${formatDigest(live.adapterDigest)}`,
    ],
    [
      'serving',
      `${serving.runningSequences} running, ${serving.queuedRequests} waiting, ${serving.generatedTokens} tokens so far, versions held: ${serving.heldVersions.join(' ')}`,
    ],
    ['store', `${replay.generations} generations, ${replay.scores} scores on ${replay.scoredGenerations} of them`],
    ['', describeRoom(replay)],
    ...describeTrouble(replay),
    [
      'learner',
      `${learnerState(learner)}${learner.engine === '' ? '' : ` (${describeEngine(learner)})`}, ${learner.rounds} rounds, ${learner.steps} steps${learner.droppedSteps > 0 ? ` (${learner.droppedSteps} dropped)` : ''}${learner.setbacks > 0 ? `, ${learner.setbacks} rounds out of bounds` : ''}, ${learner.scoresSeen} scored generations seen`,
    ],
  ];
  if (learner.starvedBecause !== undefined) lines.push(['', learner.starvedBecause]);
  if (learner.haltedBecause !== undefined) lines.push(['', `the learner stopped itself: ${learner.haltedBecause}`]);
  if (learner.failure !== undefined) {
    lines.push(['', `it does not work: ${learner.failure.code}: ${learner.failure.message}`]);
  }
  const aside = describeSetAside(learner);
  if (aside !== '') lines.push(['', aside]);
  const { buffer } = learner;
  if (buffer.completions > 0 || buffer.pending > 0) lines.push(['', describeBuffer(buffer)]);
  const named = describeRewards(status.reward);
  if (known.length > 0) lines.push(['', known.map(([name, value]) => `${name} ${formatNumber(value)}`).join(', ')]);
  if (named !== '') lines.push(['reward', named]);
  for (const outside of status.scoresOutsideRange) lines.push(['', describeOutside(outside)]);
  for (const rater of status.raters) lines.push(['rater', describeRater(rater)]);
  if (exploration.share > 0) {
    lines.push([
      'exploring',
      `${formatNumber(100 * exploration.share)} % of single requests: ${exploration.kept} completions kept, ${exploration.waiting} prompts waiting, gave way ${exploration.gaveWay} times`,
    ]);
  }
  if (lastSwap !== undefined) {
    lines.push([
      'last swap',
      `to version ${lastSwap.version} in ${formatNumber(lastSwap.durationMs)} ms (waited ${formatNumber(lastSwap.waitedMs)} ms), probe ${lastSwap.probeVerdict}`,
    ]);
  }
  lines.push(...describeRollout(status.rollout));
  return lines.map(([name, text]) => `${name.padEnd(9)}  ${text}`);
}

/** The state, with what is wrong with it. */
function learnerState({ state, processorShare, starvedBecause }: ServerStatus['learner']): string {
  if (starvedBecause === undefined || processorShare === undefined) return state;
  return `${state}, but gets ${formatNumber(processorShare * 100)} % of a core`;
}

function describeOutside({ metric, scores, lowest, highest }: ScoresOutsideRange): string {
  return `${scores} scores on ${metric} do not count: they were stored outside its range, ${lowest} to ${highest} (--reward-settings)`;
}

function describeRater(status: RaterStatus): string {
  const { rater, metric, state, scored, unscored, setAside, behind, restarts, failure } = status;
  const parts = [`${rater} on ${metric}, ${state}`, `${scored} scored`];
  if (unscored > 0) parts.push(`${unscored} without a score`);
  if (setAside > 0) parts.push(`${setAside} set aside because it failed on them`);
  if (behind > 0) parts.push(`${behind} changes behind`);
  if (restarts > 0) parts.push(`${restarts} restarts`);
  return `${parts.join(', ')}${failure === '' ? '' : `; last: ${failure}`}`;
}

/** Describes the reward settings that differ from their defaults; empty if none does. */
function describeRewards({ metrics, defaultMetric, trust, defaultTrust }: RewardSettings): string {
  const named = Object.entries(metrics).map(([name, metric]) => `${name}${describeMetric(metric)}`);
  const others = describeMetric(defaultMetric);
  if (others !== '') named.push(`other metrics${others}`);
  const raters = Object.entries(trust).map(([name, value]) => `${name} ${formatNumber(value)}`);
  if (raters.length > 0 || defaultTrust !== 1) raters.push(`others ${formatNumber(defaultTrust)}`);
  if (raters.length > 0) named.push(`trust: ${raters.join(', ')}`);
  return named.join('; ');
}

function describeMetric({ min, max, weight, windowMs, defaultScore, late }: MetricSettings): string {
  const parts = [
    ...(min === 0 && max === 1 ? [] : [`${min} to ${max}`]),
    ...(weight === 1 ? [] : [`weight ${formatNumber(weight)}`]),
    ...(windowMs === undefined ? [] : [`window ${formatAge(windowMs)}`]),
    ...(defaultScore === undefined ? [] : [`default ${formatNumber(defaultScore)}`]),
    ...(late === 'ignore' ? ['late scores ignored'] : []),
  ];
  return parts.length === 0 ? '' : ` (${parts.join(', ')})`;
}
