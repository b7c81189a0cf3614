/**
 * The sentences of posts. `{who}`, `{action}` and so on stand for the facts, `{they}` and `{They}` for the person's
 * pronoun, `{keep}` and `{be}` for verbs that agree with it, `{in}` for the words before the place. No other word may
 * belong to the lexicon: the parser relies on this, and a test checks it.
 */

/** First sentences that name the person and the deed. */
export const problemSentences: readonly string[] = [
  'My {who} keeps {action} my {object}.',
  'My {who} has been {action} my {object}.',
  'My {who} will not stop {action} my {object}.',
  'My {who} is always {action} my {object}.',
  'I have a problem with my {who}, who keeps {action} my {object}.',
  'I caught my {who} {action} my {object} again.',
  'So my {who} keeps {action} my {object}.',
];

/** First sentences that only name the person; {@link pronounProblems} follows them. */
export const introductions: readonly string[] = [
  'I need some advice about my {who}.',
  'This is about my {who}.',
  'I have a problem with my {who}.',
];

/** Sentences that name the deed of a person who was named before. */
export const pronounProblems: readonly string[] = [
  '{They} {keep} {action} my {object}.',
  '{They} will not stop {action} my {object}.',
  '{They} {be} always {action} my {object}.',
];

export const greetings: readonly string[] = ['Hello all.', 'Please help me with this.', 'I need some advice.'];

export const durationSentences: readonly string[] = [
  'This has been going on for {duration}.',
  'It started {duration} ago.',
  'It has been like this for {duration} now.',
  'I have been living with it for {duration}.',
  'It has been {duration} already.',
];

export const placeSentences: readonly string[] = [
  'It happens {in} {place}.',
  'Last time it was {in} {place}.',
  'It always happens {in} {place}.',
  'It happens every time we are {in} {place}.',
];

export const amountSentences: readonly string[] = [
  'It has cost me {amount} dollars so far.',
  'It cost me {amount} dollars.',
  'That is {amount} dollars gone.',
  'I had to pay {amount} dollars for it.',
];

export const feelingSentences: readonly string[] = [
  'I feel {feeling}.',
  'It makes me {feeling}.',
  'I am really {feeling} about it.',
  'Now I am just {feeling}.',
  'All of this makes me {feeling}.',
];

export const excuseSentences: readonly string[] = [
  '{They} {say} it is because {they} {be} {excuse}.',
  '{They} just {say} {they} {be} {excuse}.',
  'The reason is that {they} {be} {excuse}.',
];

export const questions: readonly string[] = [
  'Should I {option}?',
  'Do you think I should {option}?',
  'Would it be wrong to {option}?',
  'Is it time to {option}?',
  'Would it be fair to {option}?',
  'I want to {option}, is that okay?',
  'Would you {option}?',
];

/** Sentences without a fact. */
export const fillers: readonly string[] = [
  'I do not know what to do.',
  'It happens again and again.',
  'This is not the first time.',
  'I really want this to stop.',
  'It is too much for me.',
  'I think about it all the time.',
  'I asked {them} to stop.',
  '{They} will not talk about it.',
  'I want to do what is right.',
  'I know that I am not always right.',
  'I do not want a fight.',
  '{They} never {ask} me first.',
];

/** Last words after the question. */
export const closings: readonly string[] = ['Any advice is welcome.', 'Please help me.', 'Thank you all.'];
