/** A process that fills a store and then erases one subject, until it is killed. */

import { openReplayStore } from '../../src/replay/index.js';
import { admission, completion, scoreWrite } from '../unit/replay/records.js';

const [path = '', count = '0'] = process.argv.slice(2);
const store = await openReplayStore({ path });
for (let from = 0; from < Number(count); from += 100) {
  const ids = Array.from({ length: 100 }, (_, i) => `g${String(from + i).padStart(5, '0')}`);
  const subject = (id: string): string => (id.endsWith('0') ? 'somebody else' : 'subject-to-erase');
  await store.admit(
    ids.map((id) => admission(id, { subject: subject(id), groupKey: id, promptJson: `"prompt-of-${subject(id)}"` })),
  );
  await store.complete(ids.map((id) => completion(id)));
  await store.write(ids.map((id) => scoreWrite(id, 1, { rater: `rater-of-${subject(id)}` })));
}
process.send?.('filled');
process.once('message', () => {
  store.eraseSubject('subject-to-erase').then(() => process.send?.('erased'));
});
