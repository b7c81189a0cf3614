/**
 * A judge of one's own: a reward function that the server itself calls for every finished completion.
 *
 * It likes a completion that ends with a question mark and that is short. It runs in a process of its own, so it may be
 * slow, and it may fail without harm to the server.
 */

/** Characters beyond which a completion is worth nothing. */
const longest = 400;

/** What a completion is worth, from 0 to 1. The text is the last message of a chat, or the prompt. */
export default function judge(_text: string, completion: string): number {
  const brevity = Math.max(0, 1 - completion.length / longest);
  return completion.trimEnd().endsWith('?') ? brevity : brevity / 2;
}
