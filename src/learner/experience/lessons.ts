/**
 * The lessons of the weights in training: the generations that they have learned from since the live version.
 *
 * Every candidate carries its lessons, so `hone explain` can show what each version has learned from.
 */

/** The lessons up to a candidate; `candidate` is null for those since the last one. */
export interface LessonsSegment {
  readonly candidate: string | null;
  readonly generationIds: readonly string[];
  /** Whether some of them were removed from the store, and therefore from this list. */
  readonly incomplete?: boolean;
}

interface Segment {
  candidate: string | null;
  readonly ids: Set<string>;
  incomplete: boolean;
}

/**
 * Segments kept: those of 256 candidates that may still become the live version, because the learner goes on while the
 * gate is busy, and the open one.
 */
const maxSegments = 257;

export class Lessons {
  /** One for each candidate that may become the live version, oldest first; the last segment is open. */
  #segments: Segment[] = [newSegment()];

  use(generationIds: Iterable<string>): void {
    const open = this.#open();
    for (const id of generationIds) open.ids.add(id);
  }

  /** The weights were offered under this adapter digest. */
  offered(digest: string): void {
    this.#open().candidate = digest;
    this.#segments.push(newSegment());
    if (this.#segments.length <= maxSegments) return;
    // The oldest candidate will hardly become live any more. The weights keep what was learned on the way to it.
    const [oldest, next] = this.#segments.splice(0, 2);
    if (oldest === undefined || next === undefined) return;
    const ids = new Set([...oldest.ids, ...next.ids]);
    this.#segments.unshift({ ...next, ids, incomplete: oldest.incomplete || next.incomplete });
  }

  /** The candidate with this digest is live now: its lessons belong to the live version. */
  followed(digest: string): void {
    const at = this.#segments.findIndex(({ candidate }) => candidate === digest);
    this.#segments = this.#segments.slice(at + 1);
  }

  /** Other weights are in training now. */
  reset(): void {
    this.#segments = [newSegment()];
  }

  /** Every generation that was learned from since the live version, each once. */
  all(): string[] {
    return [...new Set(this.#segments.flatMap(({ ids }) => [...ids]))];
  }

  /** Whether the weights have learned from a generation that was removed from the store. */
  get incomplete(): boolean {
    return this.#segments.some((segment) => segment.incomplete);
  }

  /** Forgets all generations but these, because they were removed from the store. */
  retain(existing: ReadonlySet<string>): void {
    for (const segment of this.#segments) {
      for (const id of segment.ids) {
        if (existing.has(id)) continue;
        segment.ids.delete(id);
        segment.incomplete = true;
      }
    }
  }

  state(): LessonsSegment[] {
    return this.#segments.map(({ candidate, ids, incomplete }) => ({ candidate, generationIds: [...ids], incomplete }));
  }

  restore(segments: readonly LessonsSegment[]): void {
    this.reset();
    if (segments.length === 0) return;
    this.#segments = segments.map(({ candidate, generationIds, incomplete = false }) => {
      return { candidate, ids: new Set(generationIds), incomplete };
    });
  }

  #open(): Segment {
    let open = this.#segments.at(-1);
    if (open === undefined || open.candidate !== null) {
      open = newSegment();
      this.#segments.push(open);
    }
    return open;
  }
}

function newSegment(): Segment {
  return { candidate: null, ids: new Set(), incomplete: false };
}
