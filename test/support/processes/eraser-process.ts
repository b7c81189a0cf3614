/** A process that fills a store, erases a subject and kills itself when only `left` generations remain. */

import { openReplayStore } from '../../../src/replay/index.js';
import { Database } from '../../../src/sqlite/index.js';
import { admission, completion, scoreWrite } from '../replay/records.js';

const [path = '', count = '0', left = '0'] = process.argv.slice(2);
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
// It polls the file, because the store's thread sends no message in the middle of an erasure.
const database = new Database(path, { access: 'read', busyTimeoutMs: 5000 });
const counted = database.prepareValue<[], number>('SELECT count(*) FROM generations');
const erased = store.eraseSubject('subject-to-erase');
while ((counted.get() ?? 0) > Number(left)) await new Promise(setImmediate);
process.kill(process.pid, 'SIGKILL');
await erased;
