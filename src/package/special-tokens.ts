/**
 * Keeps users from writing special tokens in a chat: only the template may write them.
 *
 * Message contents are shielded before they are rendered. Each special token in them is replaced by a stand-in, a
 * character that occurs nowhere else. An edge of a content that could form a special token together with the template's
 * own text gets a stand-in too. Every special token in the rendered text is then the template's, and the stand-ins in
 * the text between are replaced by what they stand for.
 */

/** A piece of a rendered chat: plain text, or the id of a special token. */
export type Piece = { readonly text: string } | { readonly token: number };

/** A special token of `tokenizer.json` and whether it swallows white space around itself. */
export interface SpecialToken {
  readonly id: number;
  readonly content: string;
  readonly lstrip: boolean;
  readonly rstrip: boolean;
}

/** Stand-ins are Unicode's characters for private use, from this one on. */
const firstStandIn = 0xe000;
const lastStandIn = 0xf8ff;

export class SpecialTokens {
  readonly #byContent: ReadonlyMap<string, SpecialToken>;
  readonly #pattern: RegExp | null;

  constructor(tokens: readonly SpecialToken[]) {
    const written = tokens.filter(({ content }) => content !== '');
    this.#byContent = new Map(written.map((token) => [token.content, token]));
    // The longest comes first, because a regular expression takes the first alternative that fits.
    const contents = [...this.#byContent.keys()].sort((a, b) => b.length - a.length);
    this.#pattern = contents.length === 0 ? null : new RegExp(`(${contents.map(escapeRegExp).join('|')})`);
  }

  /** Replaces special tokens in the contents of one chat by stand-ins. `restore` undoes this in a rendered text. */
  shield(contents: readonly string[]): { shielded: string[]; restore: (text: string) => string } {
    const standIns = new Map<string, string>();
    const taken = new Set(contents.join(''));
    let next = firstStandIn;
    const standInFor = (text: string): string => {
      for (const [standIn, original] of standIns) if (original === text) return standIn;
      while (taken.has(String.fromCharCode(next)) && next < lastStandIn) next += 1;
      const standIn = String.fromCharCode(next++);
      standIns.set(standIn, text);
      return standIn;
    };
    const shielded = contents.map((content) => this.#shieldOne(content, standInFor));
    return { shielded, restore: (text) => restoreStandIns(text, standIns) };
  }

  #shieldOne(content: string, standInFor: (text: string) => string): string {
    const parts = this.#pattern === null ? [content] : content.split(this.#pattern);
    // Parts with an odd index are special tokens, because split() keeps what the pattern's group matched.
    const text = parts.map((part, i) => (i % 2 === 1 ? standInFor(part) : part)).join('');
    // A template may trim the contents, so the edges of the trimmed text are checked.
    const core = text.trim();
    const specials = [...this.#byContent.keys()];
    const before = specials.some((special) => startsWithTailOf(core, special)) ? standInFor('') : '';
    const after = specials.some((special) => endsWithHeadOf(core, special)) ? standInFor('') : '';
    const start = text.indexOf(core);
    return text.slice(0, start) + before + core + after + text.slice(start + core.length);
  }

  /** Splits a rendered chat at its special tokens. */
  split(rendered: string): Piece[] {
    const parts = this.#pattern === null ? [rendered] : rendered.split(this.#pattern);
    const pieces: Piece[] = [];
    let strip = false;
    for (const [i, part] of parts.entries()) {
      if (i % 2 === 1) {
        const special = this.#byContent.get(part) as SpecialToken;
        pieces.push({ token: special.id });
        strip = special.rstrip;
        continue;
      }
      const following = this.#byContent.get(parts[i + 1] ?? '');
      let text = strip ? part.trimStart() : part;
      if (following?.lstrip) text = text.trimEnd();
      if (text !== '') pieces.push({ text });
    }
    return pieces;
  }
}

function restoreStandIns(text: string, standIns: ReadonlyMap<string, string>): string {
  if (standIns.size === 0) return text;
  let restored = '';
  for (const character of text) restored += standIns.get(character) ?? character;
  return restored;
}

/** Whether a text in front of `text` could form `special` together with its beginning. */
function startsWithTailOf(text: string, special: string): boolean {
  for (let length = 1; length < special.length; length++) if (text.startsWith(special.slice(-length))) return true;
  return false;
}

/** Whether a text behind `text` could form `special` together with its end. */
function endsWithHeadOf(text: string, special: string): boolean {
  for (let length = 1; length < special.length; length++) if (text.endsWith(special.slice(0, length))) return true;
  return false;
}

function escapeRegExp(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}
