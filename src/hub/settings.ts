/** Where the hub and its cache are, and what a download may take. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { HoneError } from '../errors.js';

export interface HubSettings {
  /** The hub's address without a slash at its end. */
  readonly endpoint: string;
  /** Sent to the endpoint and to no other host. */
  readonly token: string | undefined;
  /** The folder of the cache, in the layout of Python's `huggingface_hub`. */
  readonly cacheDirectory: string;
  /** Whether only the cache is looked at. */
  readonly offline: boolean;
}

const defaultEndpoint = 'https://huggingface.co';

/**
 * Reads the settings from variables of the environment, with the meaning and the defaults that `huggingface_hub` gives
 * them: `HF_HOME`, `HF_HUB_CACHE`, `HF_ENDPOINT`, `HF_TOKEN`, `HF_TOKEN_PATH`, `HF_HUB_OFFLINE`, `XDG_CACHE_HOME`.
 * @param home the user's folder
 * @throws HoneError `INVALID_OPTIONS` if the endpoint is no address
 */
export function readHubSettings(environment: Readonly<Record<string, string | undefined>>, home: string): HubSettings {
  const given = (value: string | undefined): string | undefined => {
    const text = value?.trim();
    return text === undefined || text === '' ? undefined : text.replace(/^~(?=$|[\\/])/, home);
  };
  const folder = given(environment.XDG_CACHE_HOME) ?? join(home, '.cache');
  const ofHub = given(environment.HF_HOME) ?? join(folder, 'huggingface');
  const cache = given(environment.HF_HUB_CACHE) ?? given(environment.HUGGINGFACE_HUB_CACHE);
  const token = given(environment.HF_TOKEN) ?? given(environment.HUGGING_FACE_HUB_TOKEN);
  return {
    endpoint: checkEndpoint(given(environment.HF_ENDPOINT) ?? defaultEndpoint),
    token: token ?? readToken(given(environment.HF_TOKEN_PATH) ?? join(ofHub, 'token')),
    cacheDirectory: cache ?? join(ofHub, 'hub'),
    offline: isTrue(environment.HF_HUB_OFFLINE) || isTrue(environment.TRANSFORMERS_OFFLINE),
  };
}

function checkEndpoint(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol)) {
    throw new HoneError(
      'INVALID_OPTIONS',
      `HF_ENDPOINT is ${JSON.stringify(text)}: give an address such as ${defaultEndpoint}`,
    );
  }
  return text.replace(/\/+$/, '');
}

function readToken(path: string): string | undefined {
  try {
    const token = readFileSync(path, 'utf8').trim();
    return token === '' ? undefined : token;
  } catch {
    // A public model needs no token, and a hub that wants one says so.
    return undefined;
  }
}

const isTrue = (value: string | undefined): boolean => /^(1|on|yes|true)$/i.test(value?.trim() ?? '');
