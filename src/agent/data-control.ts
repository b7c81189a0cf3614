/** Erases a subject's data, and moves stored records in and out. */

import { z } from 'zod';
import { HoneError } from '../errors.js';
import { OwnTurns } from '../process/own-turns.js';
import type { Loop } from './connect-loop.js';
import type { DataControl } from './interface.js';
import { check, textUpTo } from './request-errors.js';
import { exportReplay, ReplayImport } from './transfer.js';

const whom = z.object({ subject: textUpTo(256).min(1, { error: 'must name the subject' }) });

export function dataControl(loop: Loop): DataControl {
  const { closing, requests, exploration, rollout, pkg, replay, reward, learner, erasure, rateNew } = loop;
  const exportTurns = new OwnTurns();
  return {
    async eraseSubject(asked, retrain) {
      closing.refuse();
      const { subject } = check(whom, { subject: asked });
      // What runs for the subject would otherwise be stored after its data was erased.
      requests.end(
        new HoneError('CANCELLED', 'the data of the subject of this request was erased while it ran'),
        subject,
      );
      exploration.forget(subject);
      rollout.trials.forget(subject);
      return erasure.erase(subject, retrain);
    },
    settleErasures: () => erasure.settle(),
    exportReplay(filter) {
      closing.refuse();
      return exportReplay(replay, filter, exportTurns);
    },
    importReplay() {
      closing.refuse();
      return new ReplayImport(replay, reward, pkg, () => {
        learner?.changed();
        rateNew();
      });
    },
  };
}
