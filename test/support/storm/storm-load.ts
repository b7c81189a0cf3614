/** The load of a storm of kills: completions and scores at once, over streams, until the server ends. */

import type { HoneClient } from '../../../client/index.js';
import { later } from '../until.js';
import type { StormModel } from './storm-model.js';

/**
 * Runs until the kill has ended all calls. The model records what was acknowledged.
 * @param pauseMs time between two requests and between two scores of a lane; 0 sends them as fast as they are answered
 */
export async function load(
  client: HoneClient,
  model: StormModel,
  random: () => number,
  pauseMs: number,
): Promise<void> {
  const work = [
    generate(client, model, random, pauseMs),
    generate(client, model, random, pauseMs),
    score(client, model, random, pauseMs),
  ];
  await Promise.all(work.map((lane) => lane.catch((error: unknown) => expectCut(error))));
}

async function generate(client: HoneClient, model: StormModel, random: () => number, pauseMs: number): Promise<never> {
  for (;;) {
    const prompt = `prompt ${Math.floor(random() * 1000)}`;
    const request = { prompt, n: 1 + Math.floor(random() * 6), maxTokens: 4 + Math.floor(random() * 60) };
    let ids: readonly string[] = [];
    const texts: string[] = [];
    for await (const event of client.stream(request)) {
      if (event.type === 'started') {
        ids = event.generationIds;
        model.begun(ids, event.version);
      } else if (event.type === 'chunk') {
        texts[event.index] = (texts[event.index] ?? '') + event.text;
      } else if (event.type === 'usage') {
        model.ended(ids, texts);
      }
    }
    await later(pauseMs);
  }
}

async function score(client: HoneClient, model: StormModel, random: () => number, pauseMs: number): Promise<never> {
  const stream = client.feedbackStream({ maxUnanswered: 32 });
  for (;;) {
    await stream.ready();
    // Score mostly the newest generations, some of which are still running.
    const { ids } = model;
    const id = ids[Math.max(0, ids.length - 1 - Math.floor(random() ** 3 * ids.length))];
    const value = random() < 0.1 ? null : Math.round(random() * 1000) / 1000;
    const op = id === undefined ? null : model.propose(id, `rater ${Math.floor(random() * 3)}`, value);
    if (op === null || pauseMs > 0) await later(pauseMs);
    if (op !== null) stream.send(op).then((outcome) => model.answered(op, outcome), expectCut);
  }
}

/** Throws unless a kill has ended the call. */
export function expectCut(error: unknown): void {
  if ((error as { status?: string }).status !== 'UNAVAILABLE') throw error;
}
