/** Runs `hone pull` and `hone models`. */

import { fetchOrFind, listModels, type ModelEntry, removeModel, requireModelName } from '../../src/hub/index.js';
import { formatBytes, formatTable, print, printJson, remark } from '../output.js';
import { hubOptions, withInterruption } from './package-source.js';
import { createPullDisplay } from './progress.js';

/** The flags of `hone pull`. */
export interface PullFlags {
  /** Bytes. */
  readonly maxCacheBytes?: number;
  readonly bits?: 32 | 8 | 4;
  readonly json?: boolean;
}

export async function runPull(text: string, flags: PullFlags): Promise<void> {
  const name = requireModelName(text);
  const { json = false, maxCacheBytes } = flags;
  const pulled = await withInterruption(async (signal) =>
    fetchOrFind(name, {
      ...(await hubOptions(flags)),
      refresh: true,
      maxCacheBytes,
      signal,
      onEvent: createPullDisplay(json),
    }),
  );
  const { directory, commit, choice } = pulled;
  const { variant, reason, fits } = choice;
  if (json) {
    const { id } = name;
    const [license, fetchedBytes] = 'fetchedBytes' in pulled ? [pulled.license, pulled.fetchedBytes] : [undefined, 0];
    const { name: form, modelFile, bytes } = variant;
    printJson({ id, variant: form, commit, directory, modelFile, bytes, fetchedBytes, license, reason, fits });
    return;
  }
  const fetched = 'fetchedBytes' in pulled ? pulled.fetchedBytes : 0;
  print(
    `${name.id}:${variant.name} at ${commit.slice(0, 12)}, ${formatBytes(variant.bytes)}${fetched === 0 ? ', was there already' : ''}`,
    directory,
  );
}

export async function runModels(flags: { readonly json?: boolean }): Promise<void> {
  const { settings } = await hubOptions({});
  const models = await listModels(settings.cacheDirectory);
  if (flags.json) for (const model of models) printJson(model);
  else if (models.length === 0) remark(`no models in ${settings.cacheDirectory}; hone pull owner/name fetches one`);
  else print(...describeModels(models));
}

export async function runRemove(text: string, flags: { readonly json?: boolean }): Promise<void> {
  const name = requireModelName(text);
  const { settings } = await hubOptions({});
  const freedBytes = await withInterruption((signal) =>
    removeModel(settings.cacheDirectory, name, { signal, onWait: (why) => remark(why) }),
  );
  if (flags.json) printJson({ name: text, freedBytes });
  else print(`removed ${text}, ${formatBytes(freedBytes)}`);
}

/** A table with a line for each form of each snapshot. */
function describeModels(models: readonly ModelEntry[]): string[] {
  const rows = models.flatMap(({ id, incompleteBytes, snapshots }) => {
    const forms = snapshots.flatMap(({ commit, revisions, family = '', variants }) => {
      const at = [...revisions, commit.slice(0, 12)][0] ?? '';
      const cells = variants.map(({ name, bytes, served }) => [
        `${id}:${name}`,
        at,
        formatBytes(bytes),
        family,
        served === undefined ? 'not served yet' : served.learns ? 'served, with a learner' : 'served',
      ]);
      return cells.length > 0 ? cells : [[id, at, '', family, 'no form that Hone reads']];
    });
    const partial = incompleteBytes === 0 ? [] : [[id, '', formatBytes(incompleteBytes), '', 'incomplete download']];
    return [...forms, ...partial];
  });
  return formatTable(['model', 'revision', 'size', 'family', 'known'], rows);
}
