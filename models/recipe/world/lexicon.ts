/**
 * The values of facts. Most are single common words, so that a small byte-level vocabulary has one or two tokens for
 * each. No word belongs to two kinds, so that a parser finds the facts of a text by looking up its words.
 */

export type Pronoun = 'he' | 'she' | 'they';

/** People by circle, each with the pronoun that posts and summaries use. */
export const circles = {
  family: {
    sister: 'she',
    brother: 'he',
    mother: 'she',
    father: 'he',
    cousin: 'they',
    aunt: 'she',
    uncle: 'he',
    niece: 'she',
    nephew: 'he',
    son: 'he',
    daughter: 'she',
    grandmother: 'she',
    grandfather: 'he',
  },
  household: { roommate: 'they', neighbor: 'they', landlord: 'he', guest: 'they' },
  couple: { wife: 'she', husband: 'he', girlfriend: 'she', boyfriend: 'he', partner: 'they' },
  friends: { friend: 'they', buddy: 'he', teammate: 'they', classmate: 'they' },
  office: { boss: 'he', manager: 'she', client: 'they', intern: 'they', colleague: 'they', leader: 'she', chef: 'he' },
  club: { coach: 'he', trainer: 'she', doctor: 'she', nurse: 'he' },
  road: { guide: 'he', driver: 'he' },
  school: { teacher: 'she' },
} as const satisfies Record<string, Record<string, Pronoun>>;

export type Circle = keyof typeof circles;

/** Other words for a person. Judges accept them; the generator never writes them. */
export const whoSynonyms: Readonly<Record<string, readonly string[]>> = {
  mother: ['mom', 'mum'],
  father: ['dad'],
  grandmother: ['grandma'],
  grandfather: ['grandpa'],
  roommate: ['flatmate', 'housemate'],
  neighbor: ['neighbour'],
  colleague: ['coworker'],
};

/** Feelings of the author. Each fits `I am ...`, `I feel ...` and `it makes me ...`. */
export const feelings: readonly string[] = [
  'angry',
  'sad',
  'tired',
  'worried',
  'upset',
  'afraid',
  'confused',
  'ashamed',
  'guilty',
  'nervous',
  'hurt',
  'stuck',
  'annoyed',
  'helpless',
  'stressed',
  'anxious',
];

/** Excuses of the other person. Each fits `she is ...`. */
export const excuses: readonly string[] = [
  'busy',
  'bored',
  'sick',
  'hungry',
  'shy',
  'young',
  'cold',
  'poor',
  'lonely',
  'sleepy',
  'careless',
  'lazy',
  'proud',
  'moody',
];

/** Number words; the first is two. */
export const numberWords: readonly string[] = [
  'two',
  'three',
  'four',
  'five',
  'six',
  'seven',
  'eight',
  'nine',
  'ten',
  'eleven',
  'twelve',
];

export const timeUnits: readonly string[] = ['days', 'weeks', 'months', 'years'];

/** Sums of money in dollars. */
export const amounts: readonly number[] = [
  20, 25, 30, 40, 45, 50, 60, 75, 80, 90, 100, 120, 150, 200, 250, 300, 400, 500, 600, 800,
];

/** Options for any domain. Each fits `should I ...`. */
export const generalOptions: readonly string[] = [
  'say no',
  'let it go',
  'speak up',
  'set some rules',
  'walk away',
  'wait it out',
];
