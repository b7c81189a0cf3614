/**
 * Completions that nobody is shown: drawn in the background, and kept only where they came to their own end, so that one
 * which gave way to a request leaves nothing behind.
 */

import { v7 as uuidv7 } from 'uuid';
import { HoneError } from '../../errors.js';
import type { RequestStarted } from '../../policy/index.js';
import { type BackgroundDraw, RequestMeter } from '../meter.js';
import { completionSeed } from './check-request.js';
import {
  admit,
  type GenerationContext,
  type GenerationRequest,
  keep,
  newRecord,
  toCompletion,
} from './run-generation.js';

/**
 * Draws the completions of a request.
 * @param signal ends it within a step; what had come to its end by then is kept
 * @param wanted asked once, before anything is written
 * @throws HoneError as the policy and the store do
 */
export async function drawInBackground(
  context: GenerationContext,
  request: GenerationRequest,
  signal: AbortSignal,
  wanted: () => boolean,
): Promise<BackgroundDraw> {
  const records = Array.from({ length: request.n }, () => newRecord(uuidv7()));
  const meter = new RequestMeter({});
  let started: RequestStarted | undefined;
  const events = context.policy.complete(
    {
      promptTokens: request.promptTokens,
      sampling: request.sampling,
      completions: records.map(({ id }, index) => ({ id, seed: completionSeed(request.seed, index) })),
      ...(request.version === undefined ? {} : { version: request.version }),
      background: true,
    },
    signal,
  );
  for await (const event of events) {
    if (event.type === 'started') started = event;
    else keep(records, event, meter);
  }
  const whole = records.filter(({ reason }) => reason === 'stop' || reason === 'length');
  const drawn = {
    kept: 0,
    cancelled: records.filter(({ reason }) => reason === 'cancelled').length,
    tokens: records.reduce((sum, record) => sum + record.tokens.length, 0),
  };
  if (started === undefined || whole.length === 0 || !wanted()) return drawn;
  const ids = whole.map(({ id }) => id);
  if (!(await admit(context, request, ids, started))) return drawn;
  try {
    await context.replay.complete(whole.map((record) => toCompletion(record, false, context.now())));
  } catch (thrown) {
    context.storeOutage.endsNotWritten(ids, HoneError.from(thrown));
    return drawn;
  }
  return { ...drawn, kept: whole.length };
}
