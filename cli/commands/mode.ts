/** `hone mode`: shows or sets how candidates come to serve, and shows the version on trial. */

import { Argument, type Command } from 'commander';
import type { Mode, OrUnknown, RolloutStatus } from '../../client/index.js';
import { commandName } from '../../src/command-name.js';
import { addConnectionFlags, type ConnectionFlags, withClient } from '../flags.js';
import { formatAge, formatFixed, formatNumber, print, printJson } from '../output.js';

/** Adds the command. */
export function addModeCommand(program: Command): void {
  const command = program
    .command('mode')
    .summary('show or set how new versions come to serve')
    .description(
      'Shows the mode, or sets it for new candidates and for the version on trial. apprentice: a candidate that passed the gate waits for you (hone promote, hone reject). shadow: it also answers a share of the requests in the background, and no caller sees the answers. canary: it serves a share of the traffic until its rewards show whether it is worse. auto: it goes live at once. The server remembers the mode when it restarts.',
    )
    .addArgument(new Argument('[mode]', 'the new mode').choices(Object.keys(meanings).filter(isMode)));
  addConnectionFlags(command).action(async (mode: Mode | undefined, flags: ConnectionFlags) => {
    await withClient(flags, async (client, signal) => {
      const rollout = mode === undefined ? await client.mode({ signal }) : await client.setMode(mode, { signal });
      if (flags.json) printJson(rollout);
      else print(...describeRollout(rollout).map(([name, text]) => `${name.padEnd(9)}  ${text}`));
    });
  });
}

const isMode = (name: string): boolean => name !== 'unknown';

const meanings: Readonly<Record<OrUnknown<Mode>, string>> = {
  apprentice: 'candidates wait for your decision',
  shadow: 'candidates answer in the background and wait for your decision',
  canary: 'candidates serve a share of the traffic until their rewards decide',
  auto: 'candidates that pass the gate go live at once',
  unknown: 'a mode that this command does not know',
};

/** Describes mode and trial as lines, each with a name. */
export function describeRollout(rollout: RolloutStatus): [string, string][] {
  const { mode, trial, judging, waiting, judgingShare, judgingStarvedBecause } = rollout;
  const lines: [string, string][] = [['mode', `${mode}: ${meanings[mode]}`]];
  if (judging !== undefined) {
    const share = judgingShare === undefined ? '' : `, with ${formatNumber(judgingShare * 100)} % of the model's runs`;
    lines.push(['judging', `version ${judging}${share}`]);
  }
  if (judgingStarvedBecause !== undefined) lines.push(['', judgingStarvedBecause]);
  if (waiting !== undefined) lines.push(['waiting', `version ${waiting}`]);
  if (trial === undefined) return lines;
  const { version, canary } = trial;
  const age = formatAge(Date.now() - trial.startedAtMs);
  const share = `${formatNumber(trial.share * 100)} % of requests`;
  const name = canary === undefined ? 'shadow' : 'canary';
  lines.push([name, `version ${version} for ${age}, ${share}, ${trial.answers} answers`]);
  const decide = `${commandName()} promote ${version} or ${commandName()} reject ${version}`;
  if (canary === undefined) return [...lines, ['', `it waits for your decision: ${decide}`]];
  const arm = ({ rewards, meanReward }: typeof canary.live) =>
    rewards === 0 ? 'no reward yet' : `${formatFixed(meanReward, 3)} over ${rewards}`;
  const evidence = ['worse', 'not worse by more than'].map((what, i) => {
    const value = i === 0 ? canary.logEvidenceWorse : canary.logEvidenceNotWorse;
    return `${what}${i === 0 ? '' : ` ${formatNumber(canary.margin)}`} ${formatFixed(value, 2)}`;
  });
  const fewest = Math.max(0, canary.minimumRewards - canary.candidate.rewards);
  lines.push(
    ['', `mean reward: candidate ${arm(canary.candidate)}, live ${arm(canary.live)}`],
    ['', `evidence (decides at ${formatFixed(canary.logEvidenceNeeded, 2)}): ${evidence.join(', ')}`],
    [
      '',
      `ends undecided in ${formatAge(canary.endsAtMs - Date.now())}${fewest > 0 ? `; promoted after ${fewest} more rewards at the earliest` : ''}`,
    ],
  );
  return lines;
}
