/** The phrases of summaries. As in posts, no word may belong to the lexicon, and here not even a `form` of one. */

/** Ways to state the problem. `before` comes before a duration; with `front`, the duration may also begin the sentence. */
export const verbFrames: readonly { readonly verb: string; readonly before: string; readonly front: boolean }[] = [
  { verb: 'has been', before: 'for', front: true },
  { verb: 'has been', before: 'for', front: true },
  { verb: 'keeps', before: 'after', front: false },
  { verb: 'will not stop', before: 'after', front: false },
  { verb: 'is always', before: 'even after', front: false },
];

/** Vague words, used if a summary only hints at a fact. */
export const vagueWho: readonly string[] = ['Someone', 'A person I know'];
export const vagueActions: readonly string[] = ['messing with', 'bothering', 'doing something to'];
export const vagueObjects: readonly string[] = ['my things', 'something of mine', 'all that is mine'];
export const vaguePlaces: readonly string[] = ['somewhere', 'at some place'];
export const vagueDurations: readonly string[] = ['a while', 'some time', 'so long'];
export const vagueExcuses: readonly string[] = ['for some reason', 'for no good reason'];
export const vagueQuestions: readonly string[] = ['what should I do?', 'what now?', 'am I wrong?'];
export const vagueFeelings: readonly string[] = ['and I feel bad', 'and I do not like it'];
export const vagueAmounts: readonly string[] = ['which cost me some money', 'which cost me a lot'];

export const feelingClauses: readonly string[] = [
  'and I am {feeling}',
  'and I feel {feeling}',
  'which makes me {feeling}',
  'so I am {feeling}',
];
export const amountClauses: readonly string[] = [
  'which cost me {amount} dollars',
  'and it cost me {amount} dollars',
  'and {amount} dollars are gone',
];

/** Texts between the problem and the question. */
export const joints: readonly { readonly text: string; readonly capital: boolean }[] = [
  { text: '. ', capital: true },
  { text: '. ', capital: true },
  { text: '; ', capital: false },
  { text: ', so ', capital: false },
];

/** Questions and statements about the option. */
export const plainQuestions: readonly string[] = ['should I {option}?', 'is it time to {option}?', 'can I {option}?'];
export const softQuestions: readonly string[] = [
  'would it be fair to {option}?',
  'would it be wrong to {option}?',
  'do you think I should {option}?',
];
export const statements: readonly string[] = [
  'I want to {option}.',
  'I might just {option}.',
  'I think I will {option}.',
];

/** Courteous words before a question. */
export const courtesies: readonly string[] = ['please tell me, ', 'any advice is welcome, ', 'please help me, '];

/** Words without information. */
export const hedges: readonly string[] = ['So anyway, ', 'Well, ', 'Basically, ', 'Honestly, '];
export const asides: readonly string[] = [', I guess', ', or whatever', ', believe me', ', and it is a whole thing'];
export const outbursts: readonly string[] = [
  'It is so unfair!',
  'This is crazy!',
  'I hate this!',
  'It happens again and again.',
  'I mean it.',
];
