/** The domains of posts. In a domain, people, deeds, things, places and options fit together in any combination. */
import { type Circle, circles, type Pronoun } from './lexicon.js';
import type { DomainName } from './types.js';

/** The words of a domain. */
export interface Domain {
  readonly circles: readonly Circle[];
  /** Other accepted forms of each deed, by its present participle, which is the canonical form. */
  readonly actions: Readonly<Record<string, readonly string[]>>;
  readonly objects: readonly string[];
  /** Words before each place, by place: `in the` for `kitchen`. */
  readonly places: Readonly<Record<string, string>>;
  readonly options: readonly string[];
}

/** Verbs, each as its present participle followed by other forms. */
const verbs = {
  using: ['using', 'uses', 'used'],
  moving: ['moving', 'moves', 'moved'],
  breaking: ['breaking', 'breaks', 'broke'],
  hiding: ['hiding', 'hides', 'hid'],
  dropping: ['dropping', 'drops', 'dropped'],
  taking: ['taking', 'takes', 'took'],
  washing: ['washing', 'washes', 'washed'],
  ignoring: ['ignoring', 'ignores', 'ignored'],
  changing: ['changing', 'changes', 'changed'],
  copying: ['copying', 'copies', 'copied'],
  losing: ['losing', 'loses', 'lost'],
  reading: ['reading', 'reads', 'read'],
  mocking: ['mocking', 'mocks', 'mocked'],
  spending: ['spending', 'spends', 'spent'],
  wasting: ['wasting', 'wastes', 'wasted'],
  counting: ['counting', 'counts', 'counted'],
  borrowing: ['borrowing', 'borrows', 'borrowed'],
  sharing: ['sharing', 'shares', 'shared'],
  selling: ['selling', 'sells', 'sold'],
  forgetting: ['forgetting', 'forgets', 'forgot'],
  judging: ['judging', 'judges', 'judged'],
  blaming: ['blaming', 'blames', 'blamed'],
  rating: ['rating', 'rates', 'rated'],
  throwing: ['throwing', 'throws', 'threw'],
  stealing: ['stealing', 'steals', 'stole'],
  checking: ['checking', 'checks', 'checked'],
  holding: ['holding', 'holds', 'held'],
  feeding: ['feeding', 'feeds', 'fed'],
  scaring: ['scaring', 'scares', 'scared'],
  chasing: ['chasing', 'chases', 'chased'],
  teasing: ['teasing', 'teases', 'teased'],
  waking: ['waking', 'wakes', 'woke'],
  filming: ['filming', 'films', 'filmed'],
  testing: ['testing', 'tests', 'tested'],
} as const;

function actionsOf(...names: readonly (keyof typeof verbs)[]): Record<string, readonly string[]> {
  return Object.fromEntries(names.map((name) => [name, verbs[name].slice(1)]));
}

function placesOf(text: string): Record<string, string> {
  return Object.fromEntries(
    text.split(', ').map((phrase) => {
      const cut = phrase.lastIndexOf(' ');
      return [phrase.slice(cut + 1), phrase.slice(0, cut)];
    }),
  );
}

export const domains: Readonly<Record<DomainName, Domain>> = {
  home: {
    circles: ['household', 'family', 'couple'],
    actions: actionsOf('using', 'moving', 'breaking', 'hiding', 'dropping', 'taking', 'washing'),
    objects: ['towel', 'sofa', 'plates', 'plants', 'lamp', 'mirror', 'cups', 'chair', 'table', 'soap'],
    places: placesOf('in the kitchen, in the bathroom, in the garden, in the garage, in the hall'),
    options: ['move out', 'change the lock', 'buy a new one', 'ask for rent', 'make a list', 'pay less rent'],
  },
  work: {
    circles: ['office'],
    actions: actionsOf('ignoring', 'changing', 'copying', 'losing', 'reading', 'mocking', 'hiding'),
    objects: ['reports', 'mail', 'slides', 'notes', 'plans', 'files', 'ideas', 'orders'],
    places: placesOf('in the office, at the shop, in the lab, in the store, at lunch'),
    options: ['quit', 'ask for more', 'write it down', 'change teams', 'work from home', 'take a day off'],
  },
  money: {
    circles: ['family', 'couple', 'friends'],
    actions: actionsOf('spending', 'wasting', 'counting', 'borrowing', 'losing', 'taking', 'hiding'),
    objects: ['savings', 'cash', 'bonus', 'wages', 'tips', 'coins', 'salary'],
    places: placesOf('at the bank, at the market, at the mall, in the store, at the bar'),
    options: ['ask for a loan', 'set a limit', 'cut the card', 'pay it all', 'keep it all', 'call the police'],
  },
  friends: {
    circles: ['friends', 'couple'],
    actions: actionsOf('sharing', 'mocking', 'copying', 'reading', 'selling', 'forgetting', 'changing'),
    objects: ['jokes', 'stories', 'photos', 'songs', 'poems', 'letters', 'books', 'games'],
    places: placesOf('at the party, at the cafe, at the bar, in the park, at school'),
    options: ['end it', 'stop calling', 'say sorry', 'make new friends', 'ask why', 'be honest'],
  },
  family: {
    circles: ['family', 'couple'],
    actions: actionsOf('judging', 'blaming', 'mocking', 'rating'),
    objects: ['cooking', 'marriage', 'hair', 'diet', 'accent', 'job', 'voice', 'style', 'weight'],
    places: placesOf('at dinner, at church, at lunch, at the party, in the kitchen'),
    options: ['stay away', 'stay home', 'call less', 'tell the truth', 'laugh it off', 'write a note'],
  },
  sport: {
    circles: ['club', 'friends'],
    actions: actionsOf('throwing', 'stealing', 'hiding', 'taking', 'losing', 'borrowing'),
    objects: ['shoes', 'gloves', 'helmet', 'racket', 'bottle', 'ball', 'bat', 'boots'],
    places: placesOf('at the gym, at the pool, on the court, on the track, on the field'),
    options: ['train alone', 'take a break', 'change teams', 'take it slow', 'start over', 'drop out'],
  },
  travel: {
    circles: ['road', 'family', 'couple', 'friends'],
    actions: actionsOf('losing', 'forgetting', 'checking', 'holding', 'hiding', 'dropping'),
    objects: ['passport', 'tickets', 'bag', 'camera', 'map', 'hat', 'coat', 'watch'],
    places: placesOf('at the airport, in the hotel, at the beach, on the train, on the boat'),
    options: ['end the trip', 'travel alone', 'fly home', 'book a room', 'pay more', 'turn back'],
  },
  pets: {
    circles: ['household', 'family'],
    actions: actionsOf('feeding', 'scaring', 'chasing', 'teasing', 'waking', 'filming'),
    objects: ['dog', 'cat', 'bird', 'rabbit', 'puppy', 'horse', 'goat', 'duck', 'pig'],
    places: placesOf('in the park, in the yard, on the street, in the garden, on the farm'),
    options: ['build a fence', 'call a vet', 'find a new home', 'lock the door', 'keep it inside', 'put up a sign'],
  },
  tech: {
    circles: ['family', 'household', 'couple', 'school'],
    actions: actionsOf('using', 'breaking', 'testing', 'borrowing', 'dropping', 'hiding'),
    objects: ['phone', 'laptop', 'tablet', 'printer', 'radio', 'screen', 'cable', 'robot', 'mouse'],
    places: placesOf('at school, on the bus, in the car, in the office, in the hall'),
    options: ['change the code', 'get a new one', 'lock it away', 'report it', 'turn it off', 'send a bill'],
  },
};

/** The names of all domains, in a fixed order. */
export const domainNames = Object.keys(domains) as readonly DomainName[];

/** The people of a domain. */
export function peopleOf(domain: Domain): readonly string[] {
  return domain.circles.flatMap((circle) => Object.keys(circles[circle]));
}

/** Returns `he`, `she` or `they` for a person of the lexicon, and `they` for any other. */
export function pronounOf(who: string): Pronoun {
  for (const people of Object.values(circles) as readonly Record<string, Pronoun>[]) {
    const pronoun = people[who];
    if (pronoun !== undefined) return pronoun;
  }
  return 'they';
}
