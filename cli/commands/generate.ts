/** `hone generate`: completes a prompt and prints the text as it comes. */

import type { Command } from 'commander';
import type { Completion, GenerateEvent, GenerateRequest, GenerateResult, TokenDetails } from '../../client/index.js';
import { commandName } from '../../src/command-name.js';
import { UsageError } from '../failure.js';
import {
  addConnectionFlags,
  type ConnectionFlags,
  parseCount,
  parseInteger,
  parseNumber,
  readStandardInput,
  withClient,
} from '../flags.js';
import { print, printJson, quoted, remark, writeText } from '../output.js';

interface GenerateFlags extends ConnectionFlags {
  readonly raw?: boolean;
  readonly system?: string;
  readonly n?: number;
  readonly maxTokens?: number;
  readonly temperature?: number;
  readonly topP?: number;
  readonly topK?: number;
  readonly minP?: number;
  readonly stop?: readonly string[];
  readonly presencePenalty?: number;
  readonly frequencyPenalty?: number;
  readonly repetitionPenalty?: number;
  readonly ignoreEos?: boolean;
  readonly seed?: number;
  readonly logprobs?: boolean;
  readonly topLogprobs?: number;
  readonly store: boolean;
  readonly subject?: string;
  readonly policyVersion?: number;
  readonly stream?: boolean;
}

/** Adds the command. */
export function addGenerateCommand(program: Command): void {
  const command = program
    .command('generate')
    .summary('complete a prompt')
    .description(
      'Completes a prompt, given as an argument or on standard input, and prints the id of the generation, which you need to score it.',
    )
    .argument('[prompt]', 'the text; read from standard input if absent or -')
    .option('--raw', 'continue the text as it is, without the model\u2019s chat template')
    .option('--system <text>', 'instructions that come before the prompt')
    .option('-n, --n <count>', 'number of completions (default: 1)', parseInteger)
    .option('--max-tokens <count>', 'most tokens of a completion (default: 128)', parseInteger)
    .option(
      '--temperature <number>',
      'sampling temperature; 0 always takes the likeliest token (default: 1)',
      parseNumber,
    )
    .option('--top-p <number>', 'sample from the likeliest tokens that together have this probability', parseNumber)
    .option('--top-k <count>', 'sample from this number of likeliest tokens', parseInteger)
    .option(
      '--min-p <number>',
      'leave out tokens whose probability is below this share of the likeliest one\u2019s',
      parseNumber,
    )
    .option('--stop <text...>', 'end a completion at any of these texts')
    .option('--presence-penalty <number>', 'lower the logits of tokens that have occurred', parseNumber)
    .option('--frequency-penalty <number>', 'lower the logits of tokens for each time they have occurred', parseNumber)
    .option('--repetition-penalty <number>', 'divide the logits of tokens that have occurred', parseNumber)
    .option('--ignore-eos', 'continue after the end-of-sequence token')
    .option('--seed <number>', 'the same seed, version and request give the same tokens', parseCount)
    .option('--logprobs', 'with --json: add the log-probability of each token')
    .option('--top-logprobs <count>', 'with --json: add this number of alternatives for each token', parseInteger)
    .option('--no-store', 'do not store the completion, and so do not learn from it')
    .option('--subject <id>', 'the subject whose data this is, for hone erase')
    .option('--policy-version <number>', 'run on this version instead of the live one', parseCount)
    .option('--stream', 'with --json: print a line for each event as it comes, instead of one for the whole result');
  addConnectionFlags(command).action(async (prompt: string | undefined, flags: GenerateFlags) => {
    if (flags.stream && !flags.json)
      throw new UsageError('--stream needs --json; without it, text is printed as it comes anyway.');
    const text = prompt === undefined || prompt === '-' ? await readStandardInput('prompt') : prompt;
    await withClient(flags, async (client, signal) => {
      const timeout = flags.timeout === undefined ? {} : { timeoutMs: flags.timeout * 1000 };
      const events = client.stream(toRequest(text, flags), { signal, ...timeout });
      if (!flags.json) await printText(events, flags);
      else if (flags.stream) for await (const event of events) printJson(event);
      else printJson(await resultOf(events));
    });
  });
}

function toRequest(text: string, flags: GenerateFlags): GenerateRequest {
  const { json, stream, address, tokenFile, tls, timeout, keepalive, raw, system, policyVersion, ...settings } = flags;
  if (raw && system !== undefined) throw new UsageError('--system needs the chat template, which --raw turns off.');
  const user = { role: 'user', content: text } as const;
  const messages = system === undefined ? [user] : [{ role: 'system', content: system } as const, user];
  return { ...settings, ...(raw ? { prompt: text } : { messages }), version: policyVersion };
}

/** Collects a stream into the result of the client's `generate`. A stream has no limit on the size of a message. */
async function resultOf(events: AsyncIterable<GenerateEvent>): Promise<GenerateResult | undefined> {
  let result: GenerateResult | undefined;
  const completions: Completion[] = [];
  for await (const event of events) {
    if (event.type === 'started') {
      const { version, adapterDigest, packageDigest, generationIds } = event;
      for (const [index, generationId] of generationIds.entries()) completions[index] = begun(index, generationId);
      const usage = { promptTokens: 0, completionTokens: 0, totalTokens: 0, cachedPromptTokens: 0 };
      result = { version, adapterDigest, packageDigest, completions, usage };
      continue;
    }
    const one = event.type === 'usage' ? undefined : completions[event.index];
    if (event.type === 'usage' && result !== undefined) {
      const { type: _, ...usage } = event;
      result = { ...result, usage };
    } else if (event.type === 'chunk' && one !== undefined) completions[event.index] = continued(one, event);
    else if (event.type === 'finished' && one !== undefined) {
      completions[event.index] = { ...one, finishReason: event.reason };
    }
  }
  return result;
}

function begun(index: number, generationId: string): Completion {
  const tokens = { tokenIds: [], logprobs: [], sampledLogprobs: [], topLogprobs: [] };
  return { index, generationId, text: '', finishReason: 'error', ...tokens };
}

function continued(one: Completion, chunk: TokenDetails & { readonly text: string }): Completion {
  return {
    ...one,
    text: one.text + chunk.text,
    tokenIds: [...one.tokenIds, ...chunk.tokenIds],
    logprobs: [...one.logprobs, ...chunk.logprobs],
    sampledLogprobs: [...one.sampledLogprobs, ...chunk.sampledLogprobs],
    topLogprobs: [...one.topLogprobs, ...chunk.topLogprobs],
  };
}

/** Prints a single completion as it comes. Prints several in their order, each when it and all before it have ended. */
async function printText(events: AsyncIterable<GenerateEvent>, { store, address }: GenerateFlags): Promise<void> {
  const texts: string[] = [];
  const ended = new Set<number>();
  let ids: readonly string[] = [];
  let version = 0;
  let printed = 0;
  const started = performance.now();
  for await (const event of events) {
    if (event.type === 'started') {
      ids = event.generationIds;
      version = event.version;
    } else if (event.type === 'chunk') {
      if (ids.length === 1) writeText(event.text);
      else texts[event.index] = (texts[event.index] ?? '') + event.text;
    } else if (event.type === 'finished') {
      ended.add(event.index);
      if (ids.length === 1) print('');
      else for (; ended.has(printed); printed++) writeText(`[${printed + 1}] ${texts[printed] ?? ''}\n\n`);
      if (event.reason !== 'stop') remark(`completion ${event.index + 1} ended by ${event.reason}`);
    } else {
      const rate = Math.round((1000 * event.completionTokens) / (performance.now() - started));
      remark('', `version ${version}, ${event.completionTokens} tokens, ${rate} tokens/s`);
    }
  }
  if (!store) return;
  for (const [index, id] of ids.entries()) remark(`${ids.length === 1 ? 'generation' : `[${index + 1}]`} ${id}`);
  const where = address === undefined ? '' : ` --address ${quoted(address)}`;
  remark(`To score it, from 0 to 1: ${commandName()} feedback${where} ${ids[0]} 0.8`);
}
