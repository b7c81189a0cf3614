/**
 * Requests to a hub: redirects, waits and repeats. The token goes to the hub's own origin only; a redirect to another
 * host, where large files lie, goes without it.
 */

import { setTimeout as delay } from 'node:timers/promises';
import { HoneError } from '../errors.js';
import type { HubSettings } from './settings.js';

/** What a request needs to know of time. Tests replace it. */
export interface RequestPace {
  /** Waits before a repeat, milliseconds; a request is given up after the last. */
  readonly waitsMs: readonly number[];
  /** The longest wait that a hub may ask for before the request is given up, milliseconds. */
  readonly longestWaitMs: number;
  /** Time without a byte after which a connection counts as dead, milliseconds. */
  readonly silentMs: number;
  readonly wait: (ms: number, signal: AbortSignal) => Promise<unknown>;
}

export const defaultPace: RequestPace = {
  waitsMs: [500, 1000, 2000, 4000, 8000],
  longestWaitMs: 60_000,
  silentMs: 30_000,
  wait: (ms, signal) => delay(ms, undefined, { signal }),
};

/** Called before each wait, with the reason in words. */
export type OnWait = (why: string, waitMs: number) => void;

export interface RequestOptions {
  readonly signal: AbortSignal;
  readonly headers?: Readonly<Record<string, string>>;
  readonly onWait: OnWait;
  /** Whether the body is read too, as text. One that breaks off is asked for again. Default false. */
  readonly whole?: boolean;
}

const mostRedirects = 8;

/** A response with its headers; `first` are the headers of the hub itself, before it redirected elsewhere. */
export interface HubResponse {
  readonly response: Response;
  readonly first: Headers;
  /** The body, if all of it was asked for; else an empty text. */
  readonly text: string;
}

export class HubRequests {
  readonly settings: HubSettings;
  readonly pace: RequestPace;
  readonly #origin: string;

  constructor(settings: HubSettings, pace: RequestPace = defaultPace) {
    this.settings = settings;
    this.pace = pace;
    this.#origin = new URL(settings.endpoint).origin;
  }

  /**
   * Gets an address of the hub, following redirects. Connections that fail, 5xx and short waits (429) are repeated.
   * @returns any answer but those; the caller judges its status and reads or cancels its body
   * @throws HoneError `HUB_UNREACHABLE`, `HUB_BUSY`; the signal's reason if it aborts
   */
  async get(url: string, options: RequestOptions): Promise<HubResponse> {
    const { waitsMs, wait } = this.pace;
    const { signal, onWait } = options;
    for (let failures = 0; ; ) {
      const found = await this.#attempt(url, options).catch((thrown: unknown) => {
        signal.throwIfAborted();
        if (thrown instanceof HoneError) throw thrown;
        return reasonOf(thrown);
      });
      const status = typeof found === 'string' ? undefined : found.response.status;
      if (typeof found !== 'string' && status !== 429 && (status ?? 0) < 500) return found;
      const why = typeof found === 'string' ? found : `it answered ${status}`;
      const asked = typeof found === 'string' ? undefined : retryAfter(found.response.headers);
      if (typeof found !== 'string' && !found.response.bodyUsed) await found.response.body?.cancel();
      if (status === 429) this.#checkWait(asked);
      const planned = waitsMs[failures++];
      if (planned === undefined) throw status === 429 ? this.#busy(asked) : this.unreachable(why);
      const waitMs = asked !== undefined && asked <= this.pace.longestWaitMs ? Math.max(asked, 1) : planned;
      onWait(status === 429 ? 'the hub asks to wait, because it gets too many requests' : why, waitMs);
      await wait(waitMs, signal);
    }
  }

  /** The error of a hub that cannot be reached. */
  unreachable(why: string): HoneError {
    const { endpoint } = this.settings;
    return new HoneError(
      'HUB_UNREACHABLE',
      `the hub at ${endpoint} cannot be reached: ${why}; check the network, HF_ENDPOINT and the proxy, and run the command again: a download goes on where it stopped`,
    );
  }

  #checkWait(askedMs: number | undefined): void {
    if (askedMs !== undefined && askedMs > this.pace.longestWaitMs) throw this.#busy(askedMs);
  }

  #busy(askedMs: number | undefined): HoneError {
    const { endpoint, token } = this.settings;
    const when = askedMs === undefined ? 'later' : `in ${Math.ceil(askedMs / 1000)} s`;
    const hint = token === undefined ? '; with a token (HF_TOKEN) it allows more requests' : '';
    return new HoneError(
      'HUB_BUSY',
      `the hub at ${endpoint} takes no more requests now (429): run the command again ${when}${hint}`,
      {
        ...(askedMs === undefined ? {} : { retryAfterMs: askedMs }),
      },
    );
  }

  /** Asks once, with a limit on the time until the headers come, or the whole body. */
  async #attempt(url: string, { signal, headers = {}, whole = false }: RequestOptions): Promise<HubResponse> {
    const silence = new AbortController();
    const timer = setTimeout(() => silence.abort(new Error('it does not answer')), this.pace.silentMs);
    try {
      // A body that is not read here goes on under this signal, and its reader watches the silence.
      const found = await this.#follow(url, headers, AbortSignal.any([signal, silence.signal]));
      return { ...found, text: whole ? await found.response.text() : '' };
    } catch (thrown) {
      throw silence.signal.aborted && !signal.aborted ? silence.signal.reason : thrown;
    } finally {
      clearTimeout(timer);
    }
  }

  async #follow(
    start: string,
    headers: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): Promise<Omit<HubResponse, 'text'>> {
    let url = new URL(start);
    let first: Headers | undefined;
    for (let redirects = 0; redirects <= mostRedirects; redirects += 1) {
      const own = url.origin === this.#origin ? this.#authorization() : {};
      const response = await fetch(url, {
        // A compressed body could not be resumed, nor compared with its size.
        headers: { 'accept-encoding': 'identity', 'user-agent': 'hone-agent', ...headers, ...own },
        redirect: 'manual',
        signal,
      });
      first ??= response.headers;
      const location = response.headers.get('location');
      if (response.status < 300 || response.status > 399 || location === null) return { response, first };
      await response.body?.cancel();
      const next = new URL(location, url);
      if (!/^https?:$/.test(next.protocol) || (url.protocol === 'https:' && next.protocol === 'http:')) {
        throw this.unreachable(`it redirects to ${next.protocol}//${next.host}, which is not safe`);
      }
      // A renamed repository is redirected on the hub itself; the answer there tells of the file.
      if (next.origin === this.#origin) first = undefined;
      url = next;
    }
    throw this.unreachable(`it redirects more than ${mostRedirects} times`);
  }

  #authorization(): Record<string, string> {
    const { token } = this.settings;
    return token === undefined ? {} : { authorization: `Bearer ${token}` };
  }
}

/** The wait that a `Retry-After` asks for, milliseconds: seconds or a date. */
function retryAfter(headers: Headers): number | undefined {
  const value = headers.get('retry-after');
  if (value === null) return undefined;
  const seconds = Number(value);
  const ms = Number.isFinite(seconds) ? seconds * 1000 : Date.parse(value) - Date.now();
  return Number.isFinite(ms) ? Math.max(0, ms) : undefined;
}

/** The reason of a failed connection. `fetch` hides it in the cause. */
export function reasonOf(thrown: unknown): string {
  const cause = thrown instanceof Error && thrown.cause instanceof Error ? thrown.cause : thrown;
  return cause instanceof Error && cause.message !== '' ? cause.message : String(cause);
}
