import { expect, test } from 'vitest';
import { Lessons } from '../../../../src/learner/experience/lessons.js';

test('a candidate tells of everything between it and the version that serves', () => {
  const lessons = new Lessons();
  lessons.use(['a', 'b']);
  lessons.offered('first');
  lessons.use(['b', 'c']);
  expect(lessons.all()).toEqual(['a', 'b', 'c']);
  lessons.offered('second');
  lessons.followed('first');
  expect(lessons.all()).toEqual(['b', 'c']);
  lessons.use(['d']);
  lessons.followed('second');
  expect(lessons.all()).toEqual(['d']);
  lessons.followed('unknown');
  expect(lessons.all()).toEqual(['d']);
  lessons.reset();
  expect(lessons.all()).toEqual([]);
});

test('they outlive the process, and what is gone is forgotten', () => {
  const before = new Lessons();
  before.use(['a', 'b']);
  before.offered('first');
  before.use(['c']);
  const after = new Lessons();
  after.restore(JSON.parse(JSON.stringify(before.state())));
  after.retain(new Set(['b', 'c']));
  expect(after.all()).toEqual(['b', 'c']);
  after.followed('first');
  expect(after.all()).toEqual(['c']);
  after.restore([]);
  after.use(['d']);
  expect(after.all()).toEqual(['d']);
});

test('however many candidates are offered in vain, nothing that was learned is left out', () => {
  const lessons = new Lessons();
  for (let i = 0; i < 600; i++) {
    lessons.use([`g${i}`]);
    lessons.offered(`c${i}`);
  }
  expect(lessons.all()).toHaveLength(600);
  expect(lessons.state().length).toBeLessThan(300);
  lessons.followed('c598');
  expect(lessons.all()).toEqual(['g599']);
});
