/** Finds the folder of a package by what people write: a path, or the name of a model on a hub. */

import { stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { HoneError } from '../errors.js';
import { commitOf, folderOfRepository, listSnapshot } from './cache-layout.js';
import { chooseVariant, sourceOfBits, tableOf } from './choose.js';
import { HubClient } from './hub-client.js';
import { defaultRevision, formatModelName, type ModelName, parseModelName } from './name.js';
import { type CachedModel, type PulledModel, type PullOptions, pullModel } from './pull.js';
import { HubRequests, type RequestPace } from './requests.js';
import type { HubSettings } from './settings.js';
import { findVariants } from './variants.js';

export interface ResolveOptions extends PullOptions {
  readonly settings: HubSettings;
  /** Whether the hub is asked even if the cache has the model. Default false: what serves does not change by itself. */
  readonly refresh?: boolean;
  /** Times of requests; tests set them. */
  readonly pace?: RequestPace;
}

/** Where a package lies. */
export interface ResolvedPackage {
  readonly directory: string;
  /** The name with the variant, for people; of a folder its path. */
  readonly name: string;
  /** The form; undefined for a folder that the user named. */
  readonly variant?: string;
  /** The model's file in the folder; undefined for a folder that the user named. */
  readonly modelFile?: string;
  readonly commit?: string;
}

/**
 * Finds a package: a path that exists is a path, anything else must be `owner/name[:variant][@revision]`. Of a model,
 * the cache's form is taken; the hub is asked if there is none.
 * @throws HoneError `INVALID_OPTIONS` if the text is neither, and what {@link pullModel} throws
 */
export async function resolvePackage(text: string, options: ResolveOptions): Promise<ResolvedPackage> {
  if (await exists(text)) return { directory: resolve(text), name: resolve(text) };
  const name = parseModelName(text);
  if (name === undefined) {
    throw new HoneError(
      'INVALID_OPTIONS',
      `there is no folder ${resolve(text)}, and ${JSON.stringify(text)} is no name of a model either: give a folder, or owner/name[:variant][@revision]`,
    );
  }
  return describe(name, await fetchOrFind(name, options, text));
}

/** Takes a model from the cache or from the hub, by the settings. */
export async function fetchOrFind(
  name: ModelName,
  options: ResolveOptions,
  text = formatModelName(name),
): Promise<CachedModel | PulledModel> {
  const { settings, refresh = false, pace, onEvent } = options;
  const cached = await findCached(name, options);
  if (cached !== undefined && (!refresh || settings.offline)) return cached;
  if (settings.offline) throw await notCached(name, text, settings);
  try {
    return await pullModel(new HubClient(new HubRequests(settings, pace)), name, options);
  } catch (thrown) {
    const isAway = thrown instanceof HoneError && (thrown.code === 'HUB_UNREACHABLE' || thrown.code === 'HUB_BUSY');
    if (!isAway || cached === undefined) throw await withPlaces(thrown, text);
    onEvent({ type: 'warning', message: `${thrown.message}. The snapshot in the cache is used: ${cached.directory}` });
    return cached;
  }
}

/** Looks for a model in the cache. It has one form at least, and the one that was asked for. */
export async function findCached(
  name: ModelName,
  { settings, conditions }: Pick<ResolveOptions, 'settings' | 'conditions'>,
): Promise<CachedModel | undefined> {
  const folder = folderOfRepository(settings.cacheDirectory, name.id);
  const commit = await commitOf(folder, name.revision ?? defaultRevision);
  if (commit === undefined) return undefined;
  const variants = findVariants(await listSnapshot(folder, commit));
  const { bits = 32 } = conditions;
  // Fewer bits are made of a form that the hub may have and the cache lacks.
  if (name.variant === undefined && bits !== 32 && sourceOfBits(variants, bits) === undefined) return undefined;
  try {
    const choice = chooseVariant(variants, name.variant, conditions, name.id);
    return { directory: join(folder.snapshots, commit), commit, choice };
  } catch (thrown) {
    if (thrown instanceof HoneError && thrown.code === 'HUB_NOT_FOUND') return undefined;
    throw thrown;
  }
}

function describe(name: ModelName, { directory, commit, choice: { variant } }: CachedModel): ResolvedPackage {
  const full = formatModelName({ ...name, variant: variant.name });
  return { directory, commit, name: full, variant: variant.name, modelFile: variant.modelFile };
}

async function notCached(
  { id, revision = defaultRevision }: ModelName,
  text: string,
  settings: HubSettings,
): Promise<HoneError> {
  const folder = folderOfRepository(settings.cacheDirectory, id);
  const commit = await commitOf(folder, revision);
  const there = commit === undefined ? [] : findVariants(await listSnapshot(folder, commit));
  const has = there.length === 0 ? '' : `. It has of this model:\n${tableOf(there).join('\n')}`;
  return new HoneError(
    'HUB_UNREACHABLE',
    `the cache ${settings.cacheDirectory} does not hold ${text}, and HF_HUB_OFFLINE keeps Hone from asking the hub: unset it, or name a folder${has}`,
  );
}

/** Adds to a name that is not found that no folder of this name is there either. */
async function withPlaces(thrown: unknown, text: string): Promise<unknown> {
  if (!(thrown instanceof HoneError) || thrown.code !== 'HUB_NOT_FOUND' || /[:@]/.test(text)) return thrown;
  return new HoneError(
    thrown.code,
    `${thrown.message}\n(It was taken for a name on the hub, because there is no folder ${resolve(text)}.)`,
    {
      cause: thrown,
    },
  );
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
