/** Which request starts next, and how much memory must be free for it. */

import { describe, expect, test } from 'vitest';
import { KvBudget } from '../../../src/policy/kv/kv-budget.js';
import { bytesPerColumn } from '../../../src/policy/kv/kv-layout.js';
import { ActiveRequest, type PreparedPrompt } from '../../../src/policy/scheduling/active-request.js';
import { SlotQueue } from '../../../src/policy/scheduling/slot-queue.js';
import { request } from '../../support/policy/policy.js';

const shape = { layers: 1, kvHeads: 1, headSize: 4 };
const budgetOf = (columns: number) => new KvBudget(shape, 1024, columns * bytesPerColumn(shape));
const prepared = { cache: null, prefix: null, logits: {} } as PreparedPrompt;

function arrive(slots: SlotQueue, budget: KvBudget, id: number, n: number, length = 10, maxTokens = 20): ActiveRequest {
  const completion = request(
    Array.from({ length }, () => 1),
    { n, sampling: { maxTokens } },
  );
  const active = new ActiveRequest(id, completion, 0, budget.columnsFor(completion));
  slots.add(active);
  return active;
}

/** Gives the next request a slot, as the scheduler does. @returns its id and completion, or 'none' */
function start(slots: SlotQueue, budget: KvBudget): string {
  const next = slots.next();
  if (next === undefined) return 'none';
  const last = next.startsLast;
  const started = `${next.id}.${next.nextCompletion}`;
  next.prompt = prepared;
  next.nextCompletion += 1;
  next.chargedCompletion = 0;
  if (last) {
    budget.release(next.chargedPrompt);
    next.chargedPrompt = 0;
  } else slots.add(next);
  return started;
}

describe('the slot queue', () => {
  test('starts the first completion of every request before the second one of any', () => {
    const budget = budgetOf(1e6);
    const slots = new SlotQueue(budget);
    arrive(slots, budget, 1, 4);
    arrive(slots, budget, 2, 1);
    arrive(slots, budget, 3, 2);
    const order = Array.from({ length: 3 }, () => start(slots, budget));
    arrive(slots, budget, 4, 2);
    order.push(...Array.from({ length: 7 }, () => start(slots, budget)));
    expect(order).toEqual(['1.0', '2.0', '3.0', '1.1', '3.1', '4.0', '1.2', '4.1', '1.3', 'none']);
  });

  test('lets only requests with a computed prompt overtake a request whose memory is not free', () => {
    const budget = budgetOf(1024 + 128);
    const slots = new SlotQueue(budget);
    arrive(slots, budget, 1, 3);
    expect(start(slots, budget)).toBe('1.0');
    arrive(slots, budget, 2, 1, 10, 1000);
    arrive(slots, budget, 3, 1);
    // The first request goes on. The second has to wait for memory, and the third waits behind it.
    expect(start(slots, budget)).toBe('1.1');
    expect(start(slots, budget)).toBe('1.2');
    expect(start(slots, budget)).toBe('none');
    budget.release(2 * 128);
    expect(start(slots, budget)).toBe('2.0');
    expect(start(slots, budget)).toBe('none');
    budget.release(128);
    expect(start(slots, budget)).toBe('3.0');
    budget.release(1024 + 128);
    expect(budget.usedBytes).toBe(0);
  });
});

describe('the memory budget', () => {
  test('charges the class of the longest completion for each, and a bucket for a prompt with several', () => {
    const budget = budgetOf(1e6);
    const columns = (prompt: number, maxTokens: number, n: number) =>
      budget.columnsFor(
        request(
          Array.from({ length: prompt }, () => 1),
          { n, sampling: { maxTokens } },
        ),
      );
    expect(columns(10, 118, 1)).toEqual({ prompt: 0, completion: 128 });
    expect(columns(10, 119, 1)).toEqual({ prompt: 0, completion: 512 });
    expect(columns(100, 413, 2)).toEqual({ prompt: 128, completion: 1024 });
    expect(columns(63, 10_000, 64)).toEqual({ prompt: 64, completion: 1024 });
  });

  test('is refused if one sequence of full context does not fit, with the number of bytes it takes', () => {
    expect(() => budgetOf(1023)).toThrow(expect.objectContaining({ code: 'INVALID_OPTIONS' }));
    expect(() => budgetOf(1023)).toThrow(String(1024 * bytesPerColumn(shape)));
    expect(budgetOf(1024).maxBytes).toBe(1024 * bytesPerColumn(shape));
  });

  test('charges nothing for a prompt that does not fit beside its completion', () => {
    const completion = request(
      Array.from({ length: 900 }, () => 1),
      { n: 2, sampling: { maxTokens: 100 } },
    );
    expect(budgetOf(1536).columnsFor(completion)).toEqual({ prompt: 0, completion: 1024 });
    expect(budgetOf(2048).columnsFor(completion)).toEqual({ prompt: 1024, completion: 1024 });
  });
});
