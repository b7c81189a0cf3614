/**
 * A chat in the terminal: you type a message, read the answer while it is written, and give it a thumb.
 *
 *   npm start                 a server, in one terminal
 *   node examples/chat.ts     the chat, in another
 *
 * A thumb up is a score of 1, a thumb down is a score of 0, and Enter alone gives no score. An empty message ends the
 * chat. `HONE_ADDRESS` names another server than the one on this machine.
 */

import { createInterface } from 'node:readline';
import { type ChatMessage, connect, defaultAddress, HoneClientError } from 'hone-agent/client';

const hone = await connect({ address: process.env.HONE_ADDRESS ?? defaultAddress });
const terminal = createInterface({ input: process.stdin });
const lines = terminal[Symbol.asyncIterator]();
const thumbs: Readonly<Record<string, number>> = { '+': 1, '-': 0 };

/** Shows a question and returns the next line that is typed; an empty one when there are no more. */
async function ask(question: string): Promise<string> {
  process.stdout.write(question);
  const { value, done } = await lines.next();
  return done === true ? '' : value.trim();
}

/** A text without the characters by which it could control the terminal: a model can write anything. */
const shown = (text: string): string => text.replaceAll(/[^\P{Cc}\n\t]|\p{Cf}/gu, '\ufffd');

/** Writes the answer to a conversation as it comes. Returns its text, and the id by which it is scored. */
async function answer(messages: readonly ChatMessage[]): Promise<{ text: string; generationId: string }> {
  let generationId = '';
  let text = '';
  for await (const event of hone.stream({ messages, maxTokens: 64, subject: 'someone-who-chats' })) {
    if (event.type === 'started') {
      generationId = event.generationIds[0] ?? '';
      process.stdout.write(`version ${event.version}> `);
    }
    if (event.type === 'chunk') {
      text += event.text;
      process.stdout.write(shown(event.text));
    }
  }
  process.stdout.write('\n');
  return { text, generationId };
}

let conversation: ChatMessage[] = [];
for (;;) {
  const content = await ask('you> ');
  if (content === '') break;
  conversation.push({ role: 'user', content });
  try {
    const { text, generationId } = await answer(conversation);
    conversation.push({ role: 'assistant', content: text });
    const score = thumbs[await ask('thumb (+, - or Enter)> ')];
    if (score === undefined) continue;
    const [outcome] = await hone.feedback({ generationId, score, rater: 'thumbs' });
    console.log(`score ${score}: ${outcome?.status}`);
  } catch (thrown) {
    // The server refuses a conversation that has outgrown the model's context.
    if (!(thrown instanceof HoneClientError) || thrown.code !== 'PROMPT_TOO_LONG') throw thrown;
    conversation = [];
    console.log('The conversation is longer than the model can read. A new one begins: type your message again.');
  }
}

const { live, learner } = await hone.status();
console.log(
  `\nVersion ${live.number} serves. The learner is ${learner.state} and has seen ${learner.scoresSeen} scores.`,
);
terminal.close();
hone.close();
