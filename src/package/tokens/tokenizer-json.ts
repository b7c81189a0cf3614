/** Reads `tokenizer.json`: vocabulary and merges from their bytes, everything else as an object. */

import { HoneError } from '../../errors.js';
import { invalidPackage, notJson, readBytes } from '../files.js';
import { JsonBytes, openBrace, openBracket, UnexpectedJson } from './json-bytes.js';
import { readMerges } from './read-merges.js';
import { downloadAgain } from './refusal.js';
import { Vocabulary } from './vocabulary.js';

const fileName = 'tokenizer.json';

export interface TokenizerFile {
  /** The file's object. `model.vocab` and `model.merges` are `null` in it. */
  readonly rest: unknown;
  /** `null` if the file has none, or something else in its place. */
  readonly vocabulary: Vocabulary | null;
  /** By token, if the vocabulary is a list of tokens with scores. */
  readonly scores: Float64Array | null;
  /** Left token, right token and token of both, one merge behind the other. */
  readonly merges: Uint32Array | null;
}

/**
 * @param largest the first token id that is too large
 * @throws HoneError `PACKAGE_INVALID` if it cannot be read, is not JSON, or its vocabulary and merges do not fit
 */
export async function readTokenizerFile(directory: string, largest: number): Promise<TokenizerFile> {
  const bytes = await readBytes(directory, fileName);
  const reader = new FileReader(bytes, largest);
  try {
    return reader.read();
  } catch (cause) {
    if (cause instanceof HoneError) throw invalidPackage(directory, fileName, cause.message, cause);
    if (!(cause instanceof UnexpectedJson) || !isJson(bytes)) {
      throw notJson(directory, fileName, bytes.toString('utf8', 0, 100), cause);
    }
    const problem = `does not fit (model.${reader.field}: ${cause.message}); ${downloadAgain}`;
    throw invalidPackage(directory, fileName, problem, cause);
  }
}

function isJson(bytes: Buffer): boolean {
  try {
    JSON.parse(bytes.toString('utf8'));
    return true;
  } catch {
    return false;
  }
}

class FileReader {
  /** The field of the model that is being read. */
  field = '';
  readonly #bytes: Buffer;
  readonly #json: JsonBytes;
  readonly #largest: number;
  /** Where the fields lie that are not in the object. */
  readonly #spans: { readonly start: number; readonly end: number }[] = [];
  #vocabulary: Vocabulary | null = null;
  #scores: Float64Array | null = null;
  #merges: Uint32Array | null = null;
  /** Where merges begin that come before the vocabulary. */
  #early: number | null = null;

  constructor(bytes: Buffer, largest: number) {
    this.#bytes = bytes;
    this.#json = new JsonBytes(bytes);
    this.#largest = largest;
  }

  read(): TokenizerFile {
    const json = this.#json;
    json.members((name) => (name === 'model' ? json.members((field) => this.#modelField(field)) : json.skip()));
    const rest = this.#parseRest();
    if (this.#early !== null && this.#vocabulary !== null) {
      this.field = 'merges';
      this.#merges = readMerges(new JsonBytes(this.#bytes.subarray(this.#early)), this.#vocabulary);
    }
    return { rest, vocabulary: this.#vocabulary, scores: this.#scores, merges: this.#merges };
  }

  #modelField(field: string): void {
    const first = this.#json.peek();
    const start = this.#json.position;
    this.field = field;
    if (field === 'vocab') this.#readVocabulary(first);
    else if (field === 'merges') this.#readMerges(first);
    else this.#json.skip();
    if (field === 'vocab' || field === 'merges') this.#spans.push({ start, end: this.#json.position });
  }

  #readVocabulary(first: number): void {
    const json = this.#json;
    if (first === openBrace) this.#vocabulary = Vocabulary.read(json, this.#largest);
    else if (first === openBracket) {
      const { vocabulary, scores } = Vocabulary.readList(json);
      this.#vocabulary = vocabulary;
      this.#scores = scores;
    } else json.skip();
  }

  #readMerges(first: number): void {
    if (first === openBracket && this.#vocabulary !== null) {
      this.#merges = readMerges(this.#json, this.#vocabulary);
      return;
    }
    if (first === openBracket) this.#early = this.#json.position;
    this.#json.skip();
  }

  #parseRest(): unknown {
    let kept = '';
    let from = 0;
    for (const { start, end } of this.#spans) {
      kept += `${this.#bytes.toString('utf8', from, start)}null`;
      from = end;
    }
    return JSON.parse(kept + this.#bytes.toString('utf8', from));
  }
}
