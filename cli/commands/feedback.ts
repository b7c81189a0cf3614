/** `hone feedback`: sends one score from the command line, or many items from standard input. */

import { createInterface } from 'node:readline';
import type { Command } from 'commander';
import type { FeedbackItem, FeedbackOutcome, HoneClient, HoneClientError } from '../../client/index.js';
import { exitCodes, UsageError } from '../failure.js';
import { addConnectionFlags, type ConnectionFlags, parseNumber, withClient } from '../flags.js';
import { print, printJson, remark } from '../output.js';

interface FeedbackFlags extends ConnectionFlags {
  readonly rater?: string;
  readonly metric?: string;
  readonly retract?: boolean;
  readonly idempotencyKey?: string;
}

/** Adds the command. */
export function addFeedbackCommand(program: Command): void {
  const command = program
    .command('feedback')
    .summary('score a generation, or retract a score')
    .description(
      'Scores a generation. Without arguments, reads items from standard input, one JSON object per line:\n' +
        '{"generationId": "...", "score": 0.8, "rater": "...", "metric": "...", "idempotencyKey": "..."}; a score of null retracts the last one.\n' +
        'Preferences are {"generationId", "preference": "better" | "worse" | "tie" | null, "otherGenerationId"}, edits {"generationId", "edit": "text", "score"}.',
    )
    .argument('[generation]', 'id of the generation')
    .argument(
      '[score]',
      'the score; larger is better, within the range of the metric: by default from 0 to 1',
      parseNumber,
    )
    .option('--rater <name>', 'name of the rater')
    .option('--metric <name>', 'name of the metric')
    .option('--retract', 'retract the score')
    .option('--idempotency-key <key>', 'key that makes it safe to repeat the command');
  addConnectionFlags(command).action(
    async (generationId: string | undefined, score: number | undefined, flags: FeedbackFlags) => {
      if (generationId === undefined) {
        await withClient(flags, (client, signal) => sendLines(client, signal, flags));
        return;
      }
      if ((score === undefined) !== (flags.retract === true)) {
        throw new UsageError('give either a score, or --retract to retract it.');
      }
      await withClient(flags, async (client, signal) => {
        const item: FeedbackItem = {
          generationId,
          score: score ?? null,
          rater: flags.rater,
          metric: flags.metric,
          idempotencyKey: flags.idempotencyKey,
        };
        await sendOne(client, item, flags, signal);
      });
    },
  );
}

/**
 * Sends one item and prints the outcome.
 * @param next the lines to add on standard error, such as a command to run next
 */
export async function sendOne(
  client: HoneClient,
  item: FeedbackItem,
  { json }: ConnectionFlags,
  signal: AbortSignal,
  next?: (outcome: FeedbackOutcome) => readonly string[],
): Promise<void> {
  const [outcome] = await client.feedback(item, { signal });
  if (outcome === undefined) return;
  if (outcome.status === 'refused') throw outcome.error;
  if (json) {
    printJson(outcome);
    return;
  }
  print(`${outcome.status}, on disk`);
  if (next !== undefined) remark(...next(outcome));
}

async function sendLines(client: HoneClient, signal: AbortSignal, flags: FeedbackFlags): Promise<void> {
  const counts = new Map<string, number>();
  const report = (line: number, outcome: FeedbackOutcome): void => {
    counts.set(outcome.status, (counts.get(outcome.status) ?? 0) + 1);
    if (flags.json) printJson({ line, ...outcome });
    else if (outcome.status === 'refused') remark(`line ${line}: ${outcome.error.message}`);
  };
  const stream = client.feedbackStream({ signal });
  let number = 0;
  let wrong: UsageError | undefined;
  try {
    for await (const text of createInterface({ input: process.stdin, signal })) {
      number += 1;
      const line = number;
      if (text.trim() === '') continue;
      const item = parseLine(text, line, flags);
      await stream.ready();
      stream.send(item).then(
        (outcome) => report(line, outcome),
        (error: HoneClientError) => {
          // The client refuses such an item itself. If the call fails, `ready` and `close` throw.
          if (error.code === 'INVALID_REQUEST') wrong ??= new UsageError(`line ${line}: ${error.message}`);
        },
      );
      await Promise.resolve();
      if (wrong !== undefined) throw wrong;
    }
  } finally {
    // Even if a line is wrong, wait for the answers to the lines before it.
    await stream.close();
  }
  if (!flags.json) print([...counts].map(([status, count]) => `${count} ${status}`).join(', ') || 'no items');
  if (counts.has('refused')) process.exitCode = exitCodes.refused;
}

function parseLine(text: string, line: number, flags: FeedbackFlags): FeedbackItem {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new UsageError(`line ${line} is not JSON: ${text.slice(0, 80)}`);
  }
  const item = checkLine(value);
  if (typeof item === 'string') throw new UsageError(`line ${line} needs ${item}.`);
  return { rater: flags.rater, metric: flags.metric, ...item };
}

/** Returns the item, or a description of the field that is missing or wrong. The server checks the values. */
function checkLine(value: unknown): FeedbackItem | string {
  const item = value as Partial<Record<string, unknown>> | null;
  if (typeof item?.generationId !== 'string') return '"generationId" (a string)';
  if (item.preference !== undefined) {
    if (item.preference !== null && !['better', 'worse', 'tie'].includes(String(item.preference)))
      return '"preference" to be "better", "worse", "tie", or null to retract it';
    if (typeof item.otherGenerationId !== 'string') return '"otherGenerationId" (a string) beside "preference"';
  } else if (item.edit !== undefined) {
    if (typeof item.edit !== 'string') return '"edit" to be a string';
    if (typeof item.score !== 'number') return '"score" (a number) beside "edit"';
  } else if (item.score !== null && typeof item.score !== 'number') {
    return '"score" (a number, or null to retract it)';
  }
  return item as unknown as FeedbackItem;
}
