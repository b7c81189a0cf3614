import { describe, expect, test } from 'vitest';
import { broadcast, type Dim, regroup, type Target } from '../../../src/package/operators/dims.js';

const tokens: Dim[] = [['B'], ['S'], [64]];

describe('regrouping the dimensions of tokens', () => {
  test.each<[string, Dim[], Target[], Dim[] | undefined]>([
    ['splits a token into heads', tokens, [0, 0, 4, 16], [['B'], ['S'], [4], [16]]],
    ['joins heads to a token', [['B'], ['S'], [4], [16]], [0, 0, -1], tokens],
    ['lists heads beside tokens', tokens, [0, -1, 16], [['B'], ['S', 4], [16]]],
    ['joins heads that are listed beside tokens', [['B'], ['S', 4], [16]], [0, -1, 64], tokens],
    ['makes one list of all tokens', tokens, [-1, 64], [['B', 'S'], [64]]],
    ['accepts B and S as target sizes', [['B', 'S'], [64]], [['B'], ['S'], -1], tokens],
    ['adds a dimension of size 1', tokens, [0, 0, 1, 64], [['B'], ['S'], [], [64]]],
    ['refuses to move the token dimension', tokens, [0, 64, -1], undefined],
    ['refuses to split the token dimension', tokens, [0, 2, -1, 64], undefined],
    ['refuses sizes that do not fit', tokens, [0, 0, 3, -1], undefined],
    ['refuses a target with fewer elements', tokens, [0, 0, 32], undefined],
    ['refuses B and S in another order', tokens, [['S'], ['B'], -1], undefined],
  ])('%s', (_, dims, targets, expected) => {
    expect(regroup(dims, targets)).toEqual(expected);
  });
});

describe('broadcasting', () => {
  test.each<[string, Dim[], Dim[], boolean, Dim[] | undefined]>([
    ['adds a bias to each token', tokens, [[64]], true, tokens],
    ['multiplies by a constant that has all axes', tokens, [[], [], [64]], true, tokens],
    ['combines two values of the same tokens', tokens, tokens, false, tokens],
    ['combines one number per token with its features', tokens, [['B'], ['S'], []], false, tokens],
    ['refuses to combine each token with each other one', [['B'], ['S'], []], [['B'], [], ['S']], false, undefined],
    ['refuses to combine one token with all others', tokens, [['B'], [], [64]], false, undefined],
    ['refuses a constant with a row for each token', tokens, [[7], [64]], true, undefined],
    ['refuses widths that do not fit', tokens, [[32]], true, undefined],
  ])('%s', (_, a, b, constant, expected) => {
    expect(broadcast(a, b, constant)).toEqual(expected);
  });
});
