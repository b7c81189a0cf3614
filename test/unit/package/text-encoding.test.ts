/** Texts are encoded without holding up the event loop. The thread is real unless its order of work is the matter. */

import { EventEmitter } from 'node:events';
import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import type { EncodedJob } from '../../../src/package/encoding/encoder-thread.js';
import type { EncodingJob } from '../../../src/package/encoding/encoding-job.js';
import {
  charactersPerTurn,
  type EncoderThread,
  ThreadedEncoding,
} from '../../../src/package/encoding/text-encoding.js';
import { loadTokenizer } from '../../../src/package/index.js';
import { temporaryFolder } from '../../support/folders.js';
import { tinyDirectory } from '../../support/tiny.js';

const directory = tinyDirectory;
const tokenizer = await loadTokenizer(directory);
const long = 'the quick brown fox jumps over it. '.repeat(1000);
const opened: ThreadedEncoding[] = [];

afterEach(async () => {
  await Promise.all(opened.splice(0).map((encoding) => encoding.close()));
});

function open(startThread?: () => EncoderThread): ThreadedEncoding {
  const encoding = new ThreadedEncoding({
    directory,
    tokenizer,
    config: { contextLength: 128 },
    ...(startThread && { startThread }),
  });
  opened.push(encoding);
  return encoding;
}

/** A thread that answers when it is told to. */
class ManualThread extends EventEmitter implements EncoderThread {
  readonly jobs: string[] = [];
  terminated = 0;

  postMessage(job: EncodingJob): void {
    this.jobs.push('text' in job ? job.text.slice(0, 1) : 'chat');
  }

  answer(): void {
    this.emit('message', { tokens: Uint32Array.of(7) } satisfies EncodedJob);
  }

  async terminate(): Promise<void> {
    this.terminated += 1;
  }
}

const text = (value: string): EncodingJob => ({ as: 'text', text: value });
const longText = (letter: string) => text(letter.repeat(charactersPerTurn + 1));
const turn = () => new Promise((resolve) => setImmediate(resolve));

describe('the thread', () => {
  it('gives long texts and chats the tokens that the tokenizer gives them at once', async () => {
    const encoding = open();
    const messages = [
      { role: 'user' as const, content: long },
      { role: 'assistant' as const, content: '' },
    ];
    expect(await encoding.encode({ as: 'chat', messages, maxTokens: 1e6 })).toEqual(tokenizer.encodeChat(messages));
    expect(await encoding.encode(text(long))).toEqual(tokenizer.encodeText(long));
    expect(await encoding.encode({ as: 'completion', text: long })).toEqual(tokenizer.encodeCompletion(long));
  });

  it('leaves the event loop free while it encodes', async () => {
    let turns = 0;
    const encoding = open();
    let done = false;
    const encoded = encoding.encode(text(long)).finally(() => {
      done = true;
    });
    while (!done) {
      turns += 1;
      await turn();
    }
    await encoded;
    expect(turns).toBeGreaterThan(3);
  });

  it("passes the tokenizer's refusals on with their code", async () => {
    const messages = [{ role: 'nobody' as 'user', content: long }];
    await expect(open().encode({ as: 'chat', messages, maxTokens: 1e6 })).rejects.toMatchObject({
      code: 'INVALID_REQUEST',
    });
  });

  it('refuses a chat whose rendering is too long by its length', async () => {
    const messages = [{ role: 'user' as const, content: long }];
    const refused = open().encode({ as: 'chat', messages, maxTokens: 128 });
    await expect(refused).rejects.toMatchObject({ code: 'PROMPT_TOO_LONG', violations: [{ field: 'messages' }] });
  });

  it('encodes nothing with files that have changed since the tokenizer was loaded', async () => {
    const changed = temporaryFolder();
    await cp(directory, changed, { recursive: true });
    const config = JSON.parse(await readFile(join(changed, 'tokenizer_config.json'), 'utf8'));
    await writeFile(join(changed, 'tokenizer_config.json'), JSON.stringify({ ...config, another: true }));
    const encoding = new ThreadedEncoding({ directory: changed, tokenizer, config: { contextLength: 128 } });
    opened.push(encoding);
    await expect(encoding.encode(text(long))).rejects.toMatchObject({ code: 'PACKAGE_INVALID' });
    expect(await encoding.encode(text('short'))).toEqual(tokenizer.encodeText('short'));
  });

  it('takes one text after another, and drops those whose callers have left', async () => {
    const thread = new ManualThread();
    const encoding = open(() => thread);
    const leaving = new AbortController();
    const first = encoding.encode(longText('a'));
    const second = encoding.encode(longText('b'), leaving.signal);
    const third = encoding.encode(longText('c'));
    await turn();
    expect(thread.jobs).toEqual(['a']);
    leaving.abort(new Error('left'));
    await expect(second).rejects.toThrow('left');
    thread.answer();
    expect(await first).toEqual([7]);
    expect(thread.jobs).toEqual(['a', 'c']);
    thread.answer();
    await third;
  });

  it('that dies fails the text that it had, and another one takes the next', async () => {
    const threads: ManualThread[] = [];
    const encoding = open(() => {
      threads.push(new ManualThread());
      return threads.at(-1) as ManualThread;
    });
    const [lost, next] = [encoding.encode(longText('a')), encoding.encode(longText('b'))];
    await turn();
    threads[0]?.emit('error', new Error('out of memory'));
    threads[0]?.emit('exit', 1);
    await expect(lost).rejects.toMatchObject({ code: 'WORKER_CRASHED' });
    expect(threads.map(({ jobs }) => jobs)).toEqual([['a'], ['b']]);
    threads[1]?.answer();
    expect(await next).toEqual([7]);
  });

  it('refuses texts beyond a bound on those that wait, and all that wait when it closes', async () => {
    const thread = new ManualThread();
    const encoding = open(() => thread);
    const waiting = Array.from({ length: 1025 }, () => encoding.encode(longText('a')));
    await expect(encoding.encode(longText('b'))).rejects.toMatchObject({ code: 'QUEUE_FULL', retryAfterMs: 1000 });
    const ends = Promise.allSettled(waiting);
    await encoding.close();
    const codes = (await ends).map((end) => end.status === 'rejected' && (end.reason as { code: string }).code);
    expect(new Set(codes)).toEqual(new Set(['DRAINING']));
    expect(thread.terminated).toBe(1);
  });
});

describe('short texts', () => {
  it('are encoded without a thread, a bounded number of characters in each turn of the event loop', async () => {
    const encoding = open(() => {
      throw new Error('no thread is needed');
    });
    const half = text('a'.repeat(charactersPerTurn / 2));
    let done = 0;
    const all = Array.from({ length: 10 }, () =>
      encoding.encode(half).then(() => {
        done += 1;
      }),
    );
    const seen: number[] = [];
    while (done < 10) {
      await turn();
      seen.push(done);
    }
    await Promise.all(all);
    // Two of them fit into a turn, and two turns end before the first is seen here.
    expect(seen).toEqual([4, 6, 8, 10]);
  });

  it('are not encoded once their caller has left', async () => {
    const encoding = open();
    const full = encoding.encode(text('a'.repeat(charactersPerTurn)));
    const leaving = new AbortController();
    const waits = encoding.encode(text('b'), leaving.signal);
    leaving.abort(new Error('left'));
    await expect(waits).rejects.toThrow('left');
    await full;
    await expect(encoding.encode(text('c'), leaving.signal)).rejects.toThrow('left');
  });
});
