/** What user code threw, in words of a bounded length. It may throw anything. */

/** Longest reason, characters. */
const longest = 500;

export function reasonOf(thrown: unknown): string {
  try {
    const reason = String(thrown instanceof Error ? thrown.message : thrown);
    return reason.length > longest ? `${reason.slice(0, longest)}...` : reason;
  } catch {
    return 'a value that cannot be described';
  }
}
