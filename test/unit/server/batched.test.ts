import { expect, it } from 'vitest';
import { batched } from '../../../server/grpc/calls.js';

const turn = () => new Promise(setImmediate);

it('batches values that are ready in the same turn of the event loop, and not later ones', async () => {
  async function* source() {
    yield 1;
    yield 2;
    await turn();
    await turn();
    yield 3;
  }
  const batches: number[][] = [];
  for await (const batch of batched(source())) batches.push(batch);
  expect(batches).toEqual([[1, 2], [3]]);
});

it('yields the values before an error, then throws the error', async () => {
  async function* source() {
    yield 1;
    yield 2;
    throw new Error('broken');
  }
  const seen: number[] = [];
  const read = async () => {
    for await (const batch of batched(source())) seen.push(...batch);
  };
  await expect(read()).rejects.toThrow('broken');
  expect(seen).toEqual([1, 2]);
});

it('cuts an endless source into batches of the largest size, and closes it when the reader leaves', async () => {
  let left = false;
  async function* source() {
    try {
      for (let value = 0; ; value++) yield value;
    } finally {
      left = true;
    }
  }
  for await (const batch of batched(source(), 5)) {
    expect(batch).toEqual([0, 1, 2, 3, 4]);
    break;
  }
  expect(left).toBe(true);
});
