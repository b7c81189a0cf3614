/**
 * A Hugging Face hub for tests: the API on one port and large files on another, with the faults that real ones have.
 */

import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { onTestFinished } from 'vitest';

/** A repository: contents by path. */
export interface TestRepository {
  readonly id: string;
  readonly commit: string;
  readonly files: Readonly<Record<string, Uint8Array | string>>;
  readonly license?: string;
  readonly parameters?: number;
  /** Paths of files in large file storage: on the other port, with a SHA-256. Default: all that end in onnx, data, safetensors. */
  readonly isLarge?: (path: string) => boolean;
}

/** A commit of a test. */
export const commit = 'a'.repeat(40);

/** A small repository as onnx-community makes them. */
export function smallRepository(more: Partial<TestRepository> = {}): TestRepository {
  return {
    id: 'somebody/small-model',
    commit,
    license: 'apache-2.0',
    files: {
      'README.md': 'about',
      'config.json': '{"model_type":"llama"}',
      'tokenizer.json': '{}',
      'tokenizer_config.json': '{"a":1}',
      'generation_config.json': '{"b":1}',
      'onnx/model.onnx': Buffer.alloc(3000, 'graph'),
      'onnx/model.onnx_data': Buffer.alloc(200_000, 'weights'),
      'onnx/model_q4.onnx': Buffer.alloc(50_000, 'four bits'),
      'pytorch_model.bin': 'never',
      'model.gguf': 'never',
    },
    ...more,
  };
}

/** What a request meets instead of its answer. */
export type Fault =
  | { readonly kind: 'cut'; readonly afterBytes: number }
  | {
      readonly kind: 'status';
      readonly status: number;
      readonly headers?: Readonly<Record<string, string>>;
      readonly body?: string;
    }
  /** Other bytes of the same length. */
  | { readonly kind: 'wrong' }
  /** Sends all, whatever the range. */
  | { readonly kind: 'noRange' }
  /** Sends a part and then nothing, with the connection open. */
  | { readonly kind: 'silent'; readonly afterBytes: number };

/** A request that came. */
export interface Seen {
  readonly host: 'hub' | 'storage';
  readonly url: string;
  readonly range: string | undefined;
  readonly authorization: string | undefined;
}

const isLargeByName = (path: string): boolean => /\.(onnx|onnx_data(_\d+)?|data|safetensors|bin)$/.test(path);

export class TestHub {
  readonly seen: Seen[] = [];
  readonly #repositories = new Map<string, TestRepository>();
  readonly #faults: { readonly match: RegExp; readonly fault: Fault; left: number }[] = [];
  readonly #hub: Server;
  readonly #storage: Server;
  /** Files of one page of a listing. */
  pageSize = 1000;
  /** Called for each request, before it is answered. */
  onRequest: (seen: Seen) => Promise<void> | void = () => undefined;

  private constructor() {
    this.#hub = createServer((request, response) => void this.#answer('hub', request, response));
    this.#storage = createServer((request, response) => void this.#answer('storage', request, response));
  }

  static async start(...repositories: readonly TestRepository[]): Promise<TestHub> {
    const hub = new TestHub();
    for (const one of repositories) hub.put(one);
    await Promise.all(
      [hub.#hub, hub.#storage].map((server) => new Promise<void>((done) => server.listen(0, '127.0.0.1', done))),
    );
    return hub;
  }

  get endpoint(): string {
    return `http://127.0.0.1:${(this.#hub.address() as AddressInfo).port}`;
  }

  put(repository: TestRepository): void {
    this.#repositories.set(repository.id, repository);
  }

  /** Lets the next requests whose path matches meet a fault. Large files are asked for at both ports. */
  fail(match: RegExp, fault: Fault, times = 1): void {
    this.#faults.push({ match, fault, left: times });
  }

  /** The requests for contents, by path. */
  asked(match: RegExp): Seen[] {
    return this.seen.filter(({ url }) => match.test(url));
  }

  async close(): Promise<void> {
    const servers = [this.#hub, this.#storage];
    for (const server of servers) server.closeAllConnections();
    await Promise.all(servers.map((server) => new Promise((done) => server.close(done))));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #answer(host: Seen['host'], request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { range, authorization } = request.headers;
    const seen = { host, url: decodeURIComponent(request.url ?? ''), range, authorization };
    this.seen.push(seen);
    await this.onRequest(seen);
    const planned = this.#faults.find(({ match, left }) => left > 0 && match.test(`${host} ${seen.url}`));
    if (planned !== undefined) planned.left -= 1;
    const fault = planned?.fault;
    if (fault?.kind === 'status') {
      response.writeHead(fault.status, fault.headers).end(fault.body ?? '');
      return;
    }
    if (seen.url.startsWith('/api/') && (fault?.kind === 'cut' || fault?.kind === 'silent')) {
      response.writeHead(200, { 'content-length': 1000 }).write('{', () => {
        if (fault.kind === 'cut') response.socket?.end();
      });
      return;
    }
    const [, id = '', rest = ''] = /^\/(?:api\/models\/)?([\w.-]+\/[\w.-]+)\/(.*)$/.exec(seen.url) ?? [];
    const repository = this.#repositories.get(id);
    if (seen.url.startsWith('/api/models?')) {
      const names = [...this.#repositories.keys()];
      json(
        response,
        names.map((one) => ({ id: one })),
      );
      return;
    }
    if (repository === undefined) {
      refuse(response, 404, 'RepoNotFound');
      return;
    }
    if (seen.url.startsWith('/api/')) this.#answerApi(repository, rest, seen.url, response);
    else this.#answerContent(repository, rest, host, range, fault, response);
  }

  #answerApi(repository: TestRepository, rest: string, url: string, response: ServerResponse): void {
    const { commit, license, parameters } = repository;
    if (rest === 'refs') {
      json(response, { branches: [{ name: 'main' }], tags: [{ name: 'v1' }] });
      return;
    }
    const [, action, revision = ''] = /^(revision|tree)\/([^?]+)/.exec(rest) ?? [];
    if (!['main', 'v1', 'refs/pr/1', commit].includes(revision)) {
      refuse(response, 404, 'RevisionNotFound');
      return;
    }
    if (action === 'revision') {
      const safetensors = parameters === undefined ? {} : { safetensors: { total: parameters } };
      json(response, { id: repository.id, sha: commit, cardData: { license }, ...safetensors });
      return;
    }
    const at = Number(new URL(url, 'http://hub').searchParams.get('cursor') ?? 0);
    const all = Object.keys(repository.files);
    const entries = all.slice(at, at + this.pageSize).map((path) => entryOf(repository, path));
    if (at + this.pageSize < all.length) {
      response.setHeader(
        'link',
        `<${this.endpoint}/api/models/${repository.id}/tree/${commit}?recursive=1&cursor=${at + this.pageSize}>; rel="next"`,
      );
    }
    const folders = at === 0 ? [{ type: 'directory', path: 'onnx', oid: '0'.repeat(40), size: 0 }] : [];
    json(response, [...folders, ...entries]);
  }

  #answerContent(
    repository: TestRepository,
    rest: string,
    host: Seen['host'],
    range: string | undefined,
    fault: Fault | undefined,
    response: ServerResponse,
  ): void {
    const path = rest.replace(/^resolve\/[^/]+\//, '');
    const content = repository.files[path];
    if (content === undefined) {
      refuse(response, 404, 'EntryNotFound');
      return;
    }
    const { oid, lfs } = entryOf(repository, path);
    response.setHeader('x-repo-commit', repository.commit);
    response.setHeader('etag', `"${lfs?.oid ?? oid}"`);
    if (host === 'hub' && lfs !== undefined) {
      const port = (this.#storage.address() as AddressInfo).port;
      response.setHeader('x-linked-etag', `"${lfs.oid}"`);
      response.setHeader('x-linked-size', String(lfs.size));
      response.writeHead(302, { location: `http://127.0.0.1:${port}/${repository.id}/${rest}` }).end();
      return;
    }
    const whole = Buffer.from(content);
    const body = fault?.kind === 'wrong' ? whole.map((byte) => byte ^ 1) : whole;
    const from = fault?.kind === 'noRange' ? 0 : Number(/^bytes=(\d+)-$/.exec(range ?? '')?.[1] ?? 0);
    const piece = body.subarray(from);
    if (from > 0) response.setHeader('content-range', `bytes ${from}-${body.length - 1}/${body.length}`);
    response.writeHead(from > 0 ? 206 : 200, { 'content-length': piece.length });
    if (fault?.kind === 'cut' || fault?.kind === 'silent') {
      response.write(piece.subarray(0, fault.afterBytes), () => {
        // An end, not a reset, so that all of the bytes arrive.
        if (fault.kind === 'cut') response.socket?.end();
      });
      return;
    }
    response.end(piece);
  }
}

/** The entry of a file in a listing, and its hashes. */
function entryOf({ files, isLarge = isLargeByName }: TestRepository, path: string) {
  const content = Buffer.from(files[path] ?? '');
  const git = (bytes: Uint8Array): string =>
    createHash('sha1').update(`blob ${bytes.length}\0`).update(bytes).digest('hex');
  const sha256 = createHash('sha256').update(content).digest('hex');
  const lfs = isLarge(path) ? { oid: sha256, size: content.length, pointerSize: 134 } : undefined;
  const oid = lfs === undefined ? git(content) : git(Buffer.from(`pointer to ${sha256}`));
  return { type: 'file', path, size: content.length, oid, ...(lfs === undefined ? {} : { lfs }) };
}

function json(response: ServerResponse, value: unknown): void {
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(value));
}

function refuse(response: ServerResponse, status: number, code: string): void {
  response.writeHead(status, { 'x-error-code': code }).end(code);
}

/** Starts a hub that is closed at the end of the test. */
export async function startHub(...repositories: TestRepository[]): Promise<TestHub> {
  const hub = await TestHub.start(...repositories);
  onTestFinished(() => hub.close());
  return hub;
}
