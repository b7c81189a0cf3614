import { expect, test } from 'vitest';
import { Lessons } from '../../../../src/learner/experience/lessons.js';

test('the lessons of a candidate are everything that was learned since the live version', () => {
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

test('lessons outlive the process, and removed generations are forgotten', () => {
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

test('no lesson is left out, however many candidates do not become live', () => {
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
