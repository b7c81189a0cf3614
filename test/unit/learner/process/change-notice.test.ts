import { expect, test } from 'vitest';
import { ChangeNotice } from '../../../../src/learner/process/change-notice.js';

test('however many changes come while a notice is on its way, one further notice follows', () => {
  const onTheWay: (() => void)[] = [];
  const notice = new ChangeNotice((sent) => onTheWay.push(sent));
  for (let change = 0; change < 5; change++) notice.give();
  expect(onTheWay).toHaveLength(1);
  onTheWay.shift()?.();
  expect(onTheWay).toHaveLength(1);
  onTheWay.shift()?.();
  expect(onTheWay).toHaveLength(0);
  notice.give();
  expect(onTheWay).toHaveLength(1);
});

test('a notice that is lost at once does not keep the next one back', () => {
  let sends = 0;
  const notice = new ChangeNotice((sent) => {
    sends += 1;
    sent();
  });
  notice.give();
  notice.give();
  expect(sends).toBe(2);
});
