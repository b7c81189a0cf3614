/**
 * Preferences in place of scores: two completions of one prompt are compared, and the better one is named.
 *
 *   npm start                  a server, in one terminal
 *   node examples/pairs.ts     the comparisons, in another; a number sets how many
 *
 * Here the shorter completion is better. In an app, a person who sees both decides. A preference needs no scale: nobody
 * has to know what a completion is worth, only which of the two is better.
 */

import { connect, defaultAddress, prefer } from 'hone-agent/client';

const comparisons = Number(process.argv[2] ?? 20);
const people = ['nephew', 'sister', 'boss', 'neighbor', 'cousin', 'friend', 'uncle', 'landlord'];

const hone = await connect({ address: process.env.HONE_ADDRESS ?? defaultAddress });
let lastCompared = '';

for (let comparison = 1; comparison <= comparisons; comparison++) {
  const content = `My ${people[comparison % people.length]} keeps losing my coat. Should I set some rules?`;
  const { completions } = await hone.generate({ messages: [{ role: 'user', content }], n: 2, maxTokens: 48 });
  const [better, other] = completions.toSorted((a, b) => a.text.length - b.text.length);
  if (better === undefined || other === undefined) throw new Error('the server did not answer with two completions');
  const isTie = better.text.length === other.text.length;
  const [outcome] = await hone.feedback(
    prefer(better.generationId, other.generationId, { tie: isTie, rater: 'shorter' }),
  );
  const lengths = `${better.text.length} against ${other.text.length} characters`;
  console.log(`comparison ${comparison}: ${lengths}${isTie ? ', a tie' : ''}: ${outcome?.status}`);
  lastCompared = better.generationId;
}

if (lastCompared !== '') {
  const { preferences, obstacles } = await hone.explain(lastCompared);
  const outcomes = preferences.map(({ outcome, rater }) => `${outcome}, by ${rater}`).join('; ');
  console.log(`The last completion that was preferred: ${outcomes}.`);
  console.log(obstacles.length === 0 ? 'It may train.' : `It does not train now: ${obstacles.join(', ')}.`);
}
hone.close();
