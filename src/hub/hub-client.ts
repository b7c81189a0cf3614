/** Asks a hub about models: the commit and the licence of a revision, the files of a commit, names that are near. */

import { z } from 'zod';
import { HoneError } from '../errors.js';
import { isCommit } from './cache-layout.js';
import type { HubFile, ModelInfo } from './listing.js';
import { isInside } from './name.js';
import { refusal } from './refusals.js';
import type { HubRequests, HubResponse, OnWait } from './requests.js';

const infoSchema = z.object({
  sha: z.string(),
  tags: z.array(z.string()).optional(),
  cardData: z
    .object({
      license: z.union([z.string(), z.array(z.string())]).nullish(),
      license_name: z.string().nullish(),
      license_link: z.string().nullish(),
    })
    .nullish(),
  safetensors: z.object({ total: z.number() }).nullish(),
});

const treeSchema = z.array(
  z.object({
    type: z.string(),
    path: z.string(),
    size: z.number().int().nonnegative().optional(),
    oid: z.string(),
    lfs: z.object({ oid: z.string(), size: z.number().int().nonnegative() }).nullish(),
  }),
);

/** The context of a request: its abortion, and who is told of waits. */
export interface AskOptions {
  readonly signal: AbortSignal;
  readonly onWait: OnWait;
}

/** Most pages of a listing, of 1000 files each. */
const mostPages = 100;

export class HubClient {
  readonly requests: HubRequests;

  constructor(requests: HubRequests) {
    this.requests = requests;
  }

  /** @throws HoneError `HUB_NOT_FOUND` with near names, `HUB_REFUSED`, `HUB_UNREACHABLE`, `HUB_BUSY` */
  async info(id: string, revision: string, options: AskOptions): Promise<ModelInfo> {
    const url = `${this.#api(id)}/revision/${encodeURIComponent(revision)}`;
    const answer = await this.requests.get(url, { ...options, whole: true });
    if (answer.response.status === 404 || answer.response.status === 401) {
      const near = await this.#near(id, revision, answer, options);
      throw refusal(answer.response, answer.text, { id, revision, settings: this.requests.settings, near });
    }
    const { sha, tags, cardData, safetensors } = this.#json(answer, infoSchema, { id, revision });
    if (!isCommit(sha)) throw this.#strange(`the commit ${JSON.stringify(sha)}`);
    return { commit: sha, license: licenseOf(cardData, tags), parameters: safetensors?.total };
  }

  /** Lists all files of a commit. @throws HoneError as {@link info} does */
  async files(id: string, commit: string, options: AskOptions): Promise<HubFile[]> {
    const found: HubFile[] = [];
    let url: string | undefined = `${this.#api(id)}/tree/${commit}?recursive=1`;
    for (let page = 0; url !== undefined; page += 1) {
      if (page === mostPages) throw this.#strange('a listing without an end');
      const answer: HubResponse = await this.requests.get(url, { ...options, whole: true });
      for (const entry of this.#json(answer, treeSchema, { id, revision: commit })) {
        if (entry.type === 'file') found.push(this.#fileOf(entry));
      }
      const [, next] = /<([^>]+)>\s*;\s*rel="next"/.exec(answer.response.headers.get('link') ?? '') ?? [];
      url = next === undefined ? undefined : new URL(next, url).href;
    }
    return found;
  }

  /** The address of a file's content. */
  addressOf(id: string, commit: string, path: string): string {
    return `${this.requests.settings.endpoint}/${id}/resolve/${commit}/${path.split('/').map(encodeURIComponent).join('/')}`;
  }

  #fileOf({ path, size, oid, lfs }: z.output<typeof treeSchema>[number]): HubFile {
    const hash = lfs?.oid.replace(/^sha256:/, '') ?? oid;
    const isRight = lfs ? /^[0-9a-f]{64}$/.test(hash) : /^[0-9a-f]{40}$/.test(hash);
    if (!isInside(path)) throw this.#strange(`a file with the path ${JSON.stringify(path)}`);
    if (!isRight) throw this.#strange(`the hash ${JSON.stringify(hash)} of ${path}`);
    return { path, size: lfs?.size ?? size ?? 0, hash, hashKind: lfs ? 'sha256' : 'git' };
  }

  #json<Schema extends z.ZodType>(
    { response, text }: HubResponse,
    schema: Schema,
    about: { id: string; revision: string },
  ): z.output<Schema> {
    if (!response.ok) throw refusal(response, text, { ...about, settings: this.requests.settings, near: [] });
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch {
      throw this.#strange('an answer that is no JSON');
    }
    const checked = schema.safeParse(value);
    if (!checked.success)
      throw this.#strange(`an answer without ${checked.error.issues[0]?.path.join('.') ?? 'its fields'}`);
    return checked.data;
  }

  /** Revisions of the repository if only the revision is missing, else repositories of a similar name. */
  async #near(id: string, revision: string, { response }: HubResponse, options: AskOptions): Promise<string[]> {
    const isRevision = response.headers.get('x-error-code') === 'RevisionNotFound';
    const { endpoint } = this.requests.settings;
    const url = isRevision
      ? `${this.#api(id)}/refs`
      : `${endpoint}/api/models?search=${encodeURIComponent(id.slice(id.indexOf('/') + 1))}&limit=5`;
    try {
      const answer = await this.requests.get(url, { ...options, whole: true });
      if (!answer.response.ok) return [];
      const value: unknown = JSON.parse(answer.text);
      if (!isRevision)
        return z
          .array(z.object({ id: z.string() }))
          .parse(value)
          .map((one) => one.id)
          .filter((one) => one !== id);
      const named = z.array(z.object({ name: z.string() }));
      const { branches, tags } = z.object({ branches: named, tags: named }).parse(value);
      return [...branches, ...tags]
        .map(({ name }) => name)
        .filter((name) => name !== revision)
        .slice(0, 8);
    } catch {
      options.signal.throwIfAborted();
      // The refusal says enough without them.
      return [];
    }
  }

  #api(id: string): string {
    return `${this.requests.settings.endpoint}/api/models/${id}`;
  }

  #strange(what: string): HoneError {
    return new HoneError(
      'HUB_UNREACHABLE',
      `the hub at ${this.requests.settings.endpoint} gave ${what}: that is no answer of a Hugging Face hub; check HF_ENDPOINT`,
    );
  }
}

/** The licence of a card: its short name, or for one of its owner's own the name and the place of its text. */
function licenseOf(card: z.output<typeof infoSchema>['cardData'], tags: readonly string[] = []): string | undefined {
  const given = [card?.license ?? tags.find((tag) => tag.startsWith('license:'))?.slice(8) ?? []].flat().join(', ');
  if (given !== 'other' && given !== '') return given;
  const { license_name: name, license_link: link } = card ?? {};
  return [name, link].filter((one) => typeof one === 'string').join(', ') || given || undefined;
}
