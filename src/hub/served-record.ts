/**
 * What Hone remembers of the models in the cache: which forms it has served, and with a learner. The record lies in the
 * model's folder, `hone-served.json`, and goes with it. It is for people: a lost or damaged record is an empty one.
 */

import { randomUUID } from 'node:crypto';
import { readFile, rename, writeFile } from 'node:fs/promises';
import { dirname, join, resolve, sep } from 'node:path';
import { z } from 'zod';
import { recordOf } from '../record-schema.js';
import { isCommit } from './cache-layout.js';

/** What is known of a form. */
export interface ServedForm {
  /** Whether a server with a learner took it: it can be learned from. */
  readonly learns: boolean;
}

const fileName = 'hone-served.json';
const schema = z.object({ version: z.literal(1), forms: recordOf(z.string(), z.object({ learns: z.boolean() })) });

const keyOf = (commit: string, modelFile: string): string => `${commit} ${modelFile}`;

/** Reads what is known of a form of a model in the cache; undefined if it was never served. */
export async function servedForms(
  root: string,
): Promise<(commit: string, modelFile: string) => ServedForm | undefined> {
  const forms = await readForms(root);
  return (commit, modelFile) => forms[keyOf(commit, modelFile)];
}

/** Notes that a form was served. Does nothing for a folder that is no snapshot of a cache, or one that cannot be written. */
export async function noteServed(directory: string, modelFile: string, learns: boolean): Promise<void> {
  const parts = resolve(directory).split(sep);
  const [model = '', snapshots, commit = ''] = parts.slice(-3);
  if (!model.startsWith('models--') || snapshots !== 'snapshots' || !isCommit(commit)) return;
  const root = dirname(dirname(resolve(directory)));
  const forms = await readForms(root);
  const key = keyOf(commit, modelFile);
  const known = forms[key];
  if (known !== undefined && (known.learns || !learns)) return;
  const fresh = join(root, `${fileName}.${randomUUID().slice(0, 8)}.tmp`);
  const record: z.output<typeof schema> = { version: 1, forms: { ...forms, [key]: { learns } } };
  await writeFile(fresh, `${JSON.stringify(record, undefined, 1)}\n`).then(
    () => rename(fresh, join(root, fileName)),
    () => undefined,
  );
}

async function readForms(root: string): Promise<Readonly<Record<string, ServedForm>>> {
  try {
    return schema.parse(JSON.parse(await readFile(join(root, fileName), 'utf8'))).forms;
  } catch {
    return {};
  }
}
