/**
 * Which generations the weights in training were learned from, on top of the version that serves: what a candidate
 * must tell, so that one can say what every version learned from.
 */

/** What was used up to a candidate; `null` for what has been used since the last one. */
export interface LessonsSegment {
  readonly candidate: string | null;
  readonly generationIds: readonly string[];
  /** Whether some of them are gone from the store, and so from here. */
  readonly incomplete?: boolean;
}

interface Segment {
  candidate: string | null;
  readonly ids: Set<string>;
  incomplete: boolean;
}

/** Candidates that may still become the head - the learner offers on while the gate is busy with one -, and the open one. */
const maxSegments = 257;

export class Lessons {
  /** By candidate on its way to the head, oldest first; the last one is open. */
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
    // The oldest will hardly become the head any more, but what was learned on the way to it stays learned.
    const [oldest, next] = this.#segments.splice(0, 2);
    if (oldest === undefined || next === undefined) return;
    const ids = new Set([...oldest.ids, ...next.ids]);
    this.#segments.unshift({ ...next, ids, incomplete: oldest.incomplete || next.incomplete });
  }

  /** The head is what was offered under this digest: what went into it is no longer on top of it. */
  followed(digest: string): void {
    const at = this.#segments.findIndex(({ candidate }) => candidate === digest);
    this.#segments = this.#segments.slice(at + 1);
  }

  /** The weights are others now. */
  reset(): void {
    this.#segments = [newSegment()];
  }

  /** Every generation on top of the version that serves, each once. */
  all(): string[] {
    return [...new Set(this.#segments.flatMap(({ ids }) => [...ids]))];
  }

  /** Whether the weights were learned from something that is gone from the store. */
  get incomplete(): boolean {
    return this.#segments.some((segment) => segment.incomplete);
  }

  /** Forgets generations that are gone. */
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
