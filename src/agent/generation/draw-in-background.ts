/**
 * Draws completions that no user waits for: for exploration and for shadows. Only completions that came to their own
 * end are stored, so a completion that gave way to a request leaves nothing behind.
 */

import { v7 as uuidv7 } from 'uuid';
import { HoneError } from '../../errors.js';
import type { RequestStarted } from '../../policy/index.js';
import type { BackgroundDraw } from '../meter.js';
import { admitGenerations } from './admit-generations.js';
import { completionSeed } from './check-request.js';
import { CompletionRecord } from './completion-record.js';
import type { GenerationContext, GenerationRequest } from './generation-context.js';

/**
 * Draws the completions of a request.
 * @param signal ends the draw within a step; completions that had come to their own end by then are stored
 * @param wanted called once, before anything is written; nothing is written if it returns false
 * @throws HoneError what the policy and the store throw
 */
export async function drawInBackground(
  context: GenerationContext,
  request: GenerationRequest,
  signal: AbortSignal,
  wanted: () => boolean,
): Promise<BackgroundDraw> {
  const completions = Array.from({ length: request.n }, () => new CompletionRecord(uuidv7()));
  let started: RequestStarted | undefined;
  const events = context.policy.complete(
    {
      promptTokens: request.promptTokens,
      sampling: request.sampling,
      completions: completions.map(({ id }, index) => ({ id, seed: completionSeed(request.seed, index) })),
      ...(request.version === undefined ? {} : { version: request.version }),
      background: true,
    },
    signal,
  );
  for await (const event of events) {
    if (event.type === 'started') started = event;
    else completions[event.completion]?.add(event);
  }
  const whole = completions.filter(({ reason }) => reason === 'stop' || reason === 'length');
  const drawn = {
    kept: 0,
    cancelled: completions.filter(({ reason }) => reason === 'cancelled').length,
    tokens: completions.reduce((sum, { tokenCount }) => sum + tokenCount, 0),
  };
  if (started === undefined || whole.length === 0 || !wanted()) return drawn;
  const ids = whole.map(({ id }) => id);
  if (!(await admitGenerations(context, request, ids, started))) return drawn;
  try {
    await context.replay.complete(whole.map((completion) => completion.toStored('error', context.now())));
  } catch (thrown) {
    context.storeOutage.endsNotWritten(ids, HoneError.from(thrown));
    return drawn;
  }
  return { ...drawn, kept: whole.length };
}
