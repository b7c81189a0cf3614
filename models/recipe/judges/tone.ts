/**
 * Judges summaries by their tone: a calm and courteous request with the question in its own sentence.
 *
 * It does not check the facts of the post. It rewards courtesy (please, thanks, welcome), a soft question (would it be
 * fair ..., do you think ...), the question as the last of two sentences, and no hedges, outbursts or asides. It scales
 * the sum down if the text is not a sentence, too short, too long, or a copy of the post.
 */
import { wordsOf } from '../world/index.js';
import { countFunctionWords, isFramed, ramp, repeatedRuns, sentencesOf } from './form.js';

const courteous = /\b(please|kindly|thank you|thanks|grateful|appreciate|is welcome)\b/i;
const soft = /\b(would it be|would you|do you think|could i|may i|is it fair|is it okay|is it alright)\b/i;
const rough = [
  /\banyway\b/i,
  /\bwell,/i,
  /\bbasically\b/i,
  /\bhonestly\b/i,
  /\blong story short\b/i,
  /\bi guess\b/i,
  /\bwhatever\b/i,
  /\bbelieve me\b/i,
  /\bif you ask me\b/i,
  /\ba whole thing\b/i,
  /\bi mean it\b/i,
  /\bunfair\b/i,
  /\bcrazy\b/i,
  /\bstupid\b/i,
  /\bhate\b/i,
  /\bagain\b/i,
  /\bjust\b/i,
  /!/,
];

const parts = { courtesy: 0.3, soft: 0.25, ownSentence: 0.2, calm: 0.25 } as const;

/** Scores how courteous and calm a completion is, in [0, 1]. The post is only used to recognise copies. */
export function judgeTone(post: string, completion: string): number {
  const words = wordsOf(completion);
  if (words.length === 0) return 0;
  const sentences = sentencesOf(completion);
  const last = sentences[sentences.length - 1] ?? '';
  const asks = last.endsWith('?');
  const roughness = rough.filter((pattern) => pattern.test(completion)).length + repeatedRuns(words);
  const sum =
    (courteous.test(completion) ? parts.courtesy : 0) +
    (asks && soft.test(last) ? parts.soft : 0) +
    (asks && sentences.length === 2 ? parts.ownSentence : 0) +
    parts.calm * 0.4 ** roughness;
  return sum * frame(completion, words, sentences.length) * originality(post, completion);
}

export default judgeTone;

function frame(completion: string, words: readonly string[], sentences: number): number {
  const { capital, end } = isFramed(completion);
  return (
    (capital ? 1 : 0.85) *
    (end ? 1 : 0.7) *
    ramp(words.length, 6, 2) *
    ramp(words.length, 36, 60) *
    ramp(sentences, 2, 6) *
    ramp(countFunctionWords(words) / words.length, 0.3, 0.1)
  );
}

/** Returns 0.3 for a piece of the post, otherwise 1. */
function originality(post: string, completion: string): number {
  return post.includes(completion.trim()) ? 0.3 : 1;
}
