/**
 * The records that the learner has set aside: scored generations that it cannot learn from. Learning goes on without them.
 *
 * What a generation itself shows (its tokens, its length) is found again whenever the store is read, so it is kept in
 * memory only. What showed in training is in a file, because another process would break on it again.
 */

import { readFileSync } from 'node:fs';
import { rename } from 'node:fs/promises';
import { HoneError } from '../../errors.js';
import { writeFileDurably } from '../../versions/index.js';

/**
 * `unfit`: the package's decoder cannot hold it. `too_large`: a pass over it alone exceeds the learner's memory. `broke`:
 * training broke on it, again and again, while it was alone in the pass.
 */
export const setAsideCauses = ['unfit', 'too_large', 'broke'] as const;

export type SetAsideCause = (typeof setAsideCauses)[number];

export interface SetAsideRecord {
  readonly generationId: string;
  readonly cause: SetAsideCause;
  /** What is wrong with it, in words. */
  readonly reason: string;
}

/** A record that reading the store has shown. */
export interface FoundRecord extends SetAsideRecord {
  /** Sequence number of the change for which it was read. */
  readonly sequence: number;
}

/** Number of records by cause. */
export type SetAsideCounts = Readonly<Record<SetAsideCause, number>>;

const format = 1;
/** More of them would be no accident. The oldest is tried again when there are more. */
const mostBroken = 10_000;

interface SetAsideFile {
  readonly format: typeof format;
  readonly packageDigest: string;
  readonly broken: readonly Omit<SetAsideRecord, 'cause'>[];
}

export class SetAside {
  readonly #path: string;
  readonly #packageDigest: string;
  /** What broke training, by generation. */
  #broken = new Map<string, string>();
  /** What reading the store has shown, by generation. */
  readonly #found = new Map<string, SetAsideRecord>();
  #news: FoundRecord[] = [];

  /**
   * @param path of the file
   * @param packageDigest records of another package are not asked for, and forgotten
   */
  constructor(path: string, packageDigest: string) {
    this.#path = path;
    this.#packageDigest = packageDigest;
  }

  /**
   * Reads the file. One that cannot be read is renamed; its records are tried again.
   * @param onDamaged called with what is wrong with it
   */
  async open(onDamaged: (error: { readonly code: string; readonly message: string }) => void): Promise<void> {
    try {
      this.#broken = readBroken(this.#path, this.#packageDigest);
    } catch (thrown) {
      const { code, message } = HoneError.from(thrown);
      await rename(this.#path, `${this.#path}.damaged`);
      onDamaged({ code, message: `${message}; it was put aside, and the records that it named are tried again` });
    }
  }

  get counts(): SetAsideCounts {
    const counts = { unfit: 0, too_large: 0, broke: this.#broken.size };
    for (const { cause } of this.#found.values()) counts[cause] += 1;
    return counts;
  }

  /** Whether training broke on a generation. */
  hasBroken(generationId: string): boolean {
    return this.#broken.has(generationId);
  }

  /** The records that broke training, oldest first. */
  broken(): SetAsideRecord[] {
    return [...this.#broken].map(([generationId, reason]) => ({ generationId, cause: 'broke', reason }));
  }

  /** Notes what reading the store has shown of a generation: what keeps it from training, or null. */
  found(generationId: string, record: Omit<SetAsideRecord, 'generationId'> | null, sequence: number): void {
    if (record === null) {
      this.#found.delete(generationId);
      return;
    }
    const noted = { generationId, ...record };
    if (!this.#found.has(generationId)) this.#news.push({ ...noted, sequence });
    this.#found.set(generationId, noted);
  }

  /** Forgets what reading the store has shown, because it is to be read again. */
  forgetFound(): void {
    this.#found.clear();
    this.#news = [];
  }

  /** The records that were found since the last call. */
  takeNews(): FoundRecord[] {
    const news = this.#news;
    this.#news = [];
    return news;
  }

  /** Sets records aside that broke training; on disk when it resolves. */
  async addBroken(reasons: ReadonlyMap<string, string>): Promise<void> {
    const broken = [...this.#broken, ...reasons].slice(-mostBroken);
    this.#broken = new Map(broken);
    await this.#write();
  }

  /** Forgets generations that are no longer in the store; on disk when it resolves. */
  async retain(existing: (generationIds: readonly string[]) => readonly string[]): Promise<void> {
    const found = [...this.#found.keys()];
    const there = new Set(existing([...this.#broken.keys(), ...found]));
    for (const id of found) if (!there.has(id)) this.#found.delete(id);
    const kept = [...this.#broken].filter(([id]) => there.has(id));
    if (kept.length === this.#broken.size) return;
    this.#broken = new Map(kept);
    await this.#write();
  }

  async #write(): Promise<void> {
    const broken = [...this.#broken].map(([generationId, reason]) => ({ generationId, reason }));
    const file: SetAsideFile = { format, packageDigest: this.#packageDigest, broken };
    await writeFileDurably(this.#path, JSON.stringify(file));
  }
}

function readBroken(path: string, packageDigest: string): Map<string, string> {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return new Map();
    throw HoneError.from(error);
  }
  const file = parse(text);
  if (file?.format !== format || !Array.isArray(file.broken)) {
    throw new HoneError(
      'INTERNAL',
      `the learner's list ${path} of records that it has set aside is damaged or of another format`,
    );
  }
  if (file.packageDigest !== packageDigest) return new Map();
  return new Map(file.broken.map(({ generationId, reason }) => [generationId, reason]));
}

function parse(text: string): SetAsideFile | null {
  try {
    return JSON.parse(text) as SetAsideFile;
  } catch {
    return null;
  }
}
