/** Opens `tokenizer.json`: everything but vocabulary and merges as an object, and where these two lie. */

import { notJson, readBytes } from '../files.js';
import { JsonBytes } from './json-bytes.js';

const fileName = 'tokenizer.json';

export interface TokenizerFile {
  readonly bytes: Uint8Array;
  /** The file's object. `model.vocab` and `model.merges` are `null` in it. */
  readonly rest: unknown;
  /** By name: where the value of `vocab` or `merges` in `model` begins. */
  readonly large: ReadonlyMap<string, number>;
}

interface Span {
  readonly start: number;
  readonly end: number;
}

/** @throws HoneError `PACKAGE_INVALID` if it cannot be read or is not JSON */
export async function readTokenizerFile(directory: string): Promise<TokenizerFile> {
  const bytes = await readBytes(directory, fileName);
  try {
    const spans = findLargeFields(bytes);
    const large = new Map([...spans].map(([name, { start }]) => [name, start]));
    return { bytes, rest: parseWithout(bytes, [...spans.values()]), large };
  } catch (cause) {
    throw notJson(directory, fileName, bytes.toString('utf8', 0, 100), cause);
  }
}

function findLargeFields(bytes: Uint8Array): Map<string, Span> {
  const spans = new Map<string, Span>();
  const json = new JsonBytes(bytes);
  json.members((name) => {
    if (name !== 'model') return json.skip();
    json.members((field) => {
      json.peek();
      const start = json.position;
      json.skip();
      if (field === 'vocab' || field === 'merges') spans.set(field, { start, end: json.position });
    });
  });
  return spans;
}

function parseWithout(bytes: Uint8Array, spans: readonly Span[]): unknown {
  const text = (from: number, to?: number) => Buffer.from(bytes.subarray(from, to)).toString('utf8');
  let kept = '';
  let from = 0;
  for (const { start, end } of spans.toSorted((a, b) => a.start - b.start)) {
    kept += `${text(from, start)}null`;
    from = end;
  }
  return JSON.parse(kept + text(from));
}
