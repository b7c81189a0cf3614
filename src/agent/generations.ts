/** Takes feedback on generations, and shows what is stored of them. */

import { z } from 'zod';
import { checkLearnerSettings } from '../learner/settings.js';
import type { Loop } from './connect-loop.js';
import { explainGeneration, generationNotFound } from './explain.js';
import type { Generations } from './interface.js';
import { check } from './request-errors.js';

const asked = z.object({ generationId: z.uuid({ error: 'must be the id (UUID) of a generation' }) });

export function generations(loop: Loop): Generations {
  const { closing, feedback, replay, reward, pkg, learner, versions, now } = loop;
  const { training = checkLearnerSettings() } = loop;
  const checkId = (id: string) => check(asked, { generationId: id }).generationId.toLowerCase();
  return {
    async feedback(items, firstIndex = 0) {
      closing.refuse();
      return feedback.take(items, firstIndex);
    },
    async getGeneration(id) {
      const [generation] = await replay.readGenerations([checkId(id)]);
      if (generation === undefined) throw generationNotFound(id);
      return { generation, scores: await replay.readScores([generation.id]) };
    },
    async explainGeneration(id) {
      return explainGeneration(checkId(id), {
        replay,
        reward,
        rules: { ...training, packageDigest: pkg.digest, decoder: pkg.config },
        learning: learner !== null,
        setAsideBecause: (generationId) => learner?.setAsideBecause(generationId),
        liveVersion: versions.live().number,
        nowMs: now(),
        version: (number) => versions.get(number),
      });
    },
  };
}
