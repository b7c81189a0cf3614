/**
 * An app that never scores anything: the server asks the reward function in `judge.ts` for every score.
 *
 *   npm start -- --reward-function examples/judge.ts     a server with the judge, in one terminal
 *   node examples/own-judge.ts                           the app, in another; a number sets how many turns it takes
 *
 * Each turn asks for four completions of one post, waits until the judge has scored them, and prints the mean. After 16
 * scores the learner starts a round, and a later turn may be answered by a new version.
 */

import { setTimeout as pause } from 'node:timers/promises';
import { connect, defaultAddress } from 'hone-agent/client';

const turns = Number(process.argv[2] ?? 200);
const people = ['nephew', 'sister', 'boss', 'neighbor', 'cousin', 'friend', 'uncle', 'landlord'];

const hone = await connect({ address: process.env.HONE_ADDRESS ?? defaultAddress });
const [rater] = (await hone.status()).raters;
if (rater === undefined) {
  console.error('This server has no judge. Start one with: npm start -- --reward-function examples/judge.ts');
  process.exit(1);
}
console.log(`The judge is ${rater.rater}; its scores are kept as the metric "${rater.metric}".`);

/** The judge's score of a completion, once there is one. */
async function scoreOf(generationId: string): Promise<number> {
  for (;;) {
    const { scores } = await hone.getGeneration(generationId);
    const score = scores.find((one) => one.rater === rater?.rater);
    if (score !== undefined) return score.value;
    await pause(50);
  }
}

for (let turn = 1; turn <= turns; turn++) {
  const content = `My ${people[turn % people.length]} keeps losing my coat. Should I set some rules?`;
  const { completions, version } = await hone.generate({ messages: [{ role: 'user', content }], n: 4, maxTokens: 48 });
  const scores = await Promise.all(completions.map(({ generationId }) => scoreOf(generationId)));
  const mean = scores.reduce((sum, score) => sum + score, 0) / scores.length;
  console.log(`turn ${turn}: version ${version} scored ${mean.toFixed(2)} on average`);
  // An app that is never idle would leave the learner no time.
  await pause(200);
}
hone.close();
