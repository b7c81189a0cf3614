/**
 * Reads JSON from its bytes, without making an object of it. A tokenizer's vocabulary and merges have up to a million
 * texts, and objects of them would take seconds and a hundred megabytes.
 */

/** What is read is not JSON, or not of the form that is asked for. */
export class UnexpectedJson extends Error {}

const quote = 0x22;
const backslash = 0x5c;
export const comma = 0x2c;
export const colon = 0x3a;
export const openBracket = 0x5b;
export const closeBracket = 0x5d;
export const openBrace = 0x7b;
export const closeBrace = 0x7d;

/** By letter behind a backslash. */
const escapes = new Map([...'"\\/bfnrt'].map((letter, i) => [letter.charCodeAt(0), '"\\/\b\f\n\r\t'.charCodeAt(i)]));

export class JsonBytes {
  readonly #bytes: Uint8Array;
  #at: number;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#at = 0;
  }

  get position(): number {
    return this.#at;
  }

  /** Bytes that are left. No string that follows is longer. */
  get remaining(): number {
    return this.#bytes.length - this.#at;
  }

  /** Returns the next byte that is no white space, without taking it. */
  peek(): number {
    const bytes = this.#bytes;
    let byte = bytes[this.#at];
    while (byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09) byte = bytes[++this.#at];
    if (byte === undefined) throw new UnexpectedJson('it ends too early');
    return byte;
  }

  expect(byte: number): void {
    if (this.peek() !== byte) throw new UnexpectedJson(`byte ${this.#at} is not ${String.fromCharCode(byte)}`);
    this.#at += 1;
  }

  /** Takes a byte if it comes next. */
  take(byte: number): boolean {
    if (this.peek() !== byte) return false;
    this.#at += 1;
    return true;
  }

  /** Visits the elements of an array or the members of an object: what is left between is a comma. */
  list(open: number, close: number, visit: () => void): void {
    this.expect(open);
    if (this.take(close)) return;
    do visit();
    while (this.take(comma));
    this.expect(close);
  }

  /** Visits the members of an object, each at its value. */
  members(visit: (name: string) => void): void {
    this.list(openBrace, closeBrace, () => {
      const name = this.#text();
      this.expect(colon);
      visit(name);
    });
  }

  /**
   * Writes a string in UTF-8.
   * @returns its end in `into`, which has room for all that can follow
   */
  string(into: Uint8Array, start: number): number {
    this.expect(quote);
    const bytes = this.#bytes;
    let [at, end] = [this.#at, start];
    for (;;) {
      const byte = bytes[at++];
      if (byte === undefined || byte < 0x20) throw new UnexpectedJson(`the string at byte ${this.#at} has no end`);
      if (byte === quote) break;
      if (byte === backslash) {
        this.#at = at;
        end = this.#escape(into, end);
        at = this.#at;
      } else into[end++] = byte;
    }
    this.#at = at;
    return end;
  }

  /** Reads digits, which may only be followed by what ends a value. @returns -1 if it is no such number */
  wholeNumber(): number {
    this.peek();
    const bytes = this.#bytes;
    const start = this.#at;
    let number = 0;
    let at = start;
    for (let byte = bytes[at] as number; byte >= 0x30 && byte <= 0x39; byte = bytes[++at] as number) {
      number = number * 10 + byte - 0x30;
    }
    const zeros = bytes[start] === 0x30 && at > start + 1;
    this.#at = at;
    const next = this.peek();
    if (at > start && !zeros && (next === comma || next === closeBrace || next === closeBracket)) return number;
    this.#at = start;
    return -1;
  }

  number(): number {
    this.peek();
    const start = this.#at;
    this.skip();
    const number = Number(Buffer.from(this.#bytes.subarray(start, this.#at)).toString('latin1'));
    if (!Number.isFinite(number)) throw new UnexpectedJson(`byte ${start} begins no number`);
    return number;
  }

  /** Goes past a value of any kind. What lies in it is not checked. */
  skip(): void {
    const bytes = this.#bytes;
    const first = this.peek();
    if (first === quote) {
      this.#at = endOfString(bytes, this.#at + 1);
      return;
    }
    let at = this.#at;
    if (first !== openBrace && first !== openBracket) {
      while (isBare(bytes[at])) at += 1;
      if (at === this.#at) throw new UnexpectedJson(`byte ${at} begins no value`);
      this.#at = at;
      return;
    }
    let depth = 0;
    do {
      const byte = bytes[at++];
      if (byte === quote) at = endOfString(bytes, at);
      else if (byte === openBrace || byte === openBracket) depth += 1;
      else if (byte === closeBrace || byte === closeBracket) depth -= 1;
      else if (byte === undefined) throw new UnexpectedJson('it ends too early');
    } while (depth > 0);
    this.#at = at;
  }

  #text(): string {
    this.peek();
    const room = Buffer.alloc(endOfString(this.#bytes, this.#at + 1) - this.#at);
    return room.toString('utf8', 0, this.string(room, 0));
  }

  #escape(into: Uint8Array, end: number): number {
    const letter = this.#bytes[this.#at++] as number;
    const plain = escapes.get(letter);
    if (plain !== undefined) {
      into[end] = plain;
      return end + 1;
    }
    if (letter !== 0x75) throw new UnexpectedJson(`there is no escape like that at byte ${this.#at}`);
    let code = this.#hex();
    // Two escapes are one character if they are the halves of a surrogate pair.
    if (code >= 0xd800 && code < 0xdc00 && this.#bytes[this.#at] === backslash && this.#bytes[this.#at + 1] === 0x75) {
      const back = this.#at;
      this.#at += 2;
      const low = this.#hex();
      if (low >= 0xdc00 && low < 0xe000) code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
      else this.#at = back;
    }
    const written = Buffer.from(String.fromCodePoint(code), 'utf8');
    into.set(written, end);
    return end + written.length;
  }

  #hex(): number {
    const digits = Buffer.from(this.#bytes.subarray(this.#at, this.#at + 4)).toString('latin1');
    if (!/^[0-9a-fA-F]{4}$/.test(digits)) throw new UnexpectedJson(`there is no escape like that at byte ${this.#at}`);
    this.#at += 4;
    return Number.parseInt(digits, 16);
  }
}

/** Returns what comes behind a string whose first character is at `at`. */
function endOfString(bytes: Uint8Array, at: number): number {
  for (let i = at; ; i++) {
    const byte = bytes[i];
    if (byte === quote) return i + 1;
    if (byte === backslash) i += 1;
    else if (byte === undefined) throw new UnexpectedJson('a string has no end');
  }
}

/** Whether a byte belongs to a number, `true`, `false` or `null`. */
function isBare(byte: number | undefined): boolean {
  return (
    byte !== undefined &&
    ((byte >= 0x61 && byte <= 0x7a) || (byte >= 0x2b && byte <= 0x39) || byte === 0x45) &&
    byte !== comma
  );
}
