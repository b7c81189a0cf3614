import { describe, expect, test } from 'vitest';
import { broadcast, type Dim, regroup, type Target } from '../../../src/package/operators/dims.js';

const tokens: Dim[] = [['B'], ['S'], [64]];

describe('regrouping the dimensions of tokens', () => {
  test.each<[string, Dim[], Target[], Dim[] | undefined]>([
    ['splits a token into heads', tokens, [0, 0, 4, 16], [['B'], ['S'], [4], [16]]],
    ['joins heads again', [['B'], ['S'], [4], [16]], [0, 0, -1], tokens],
    ['lists heads beside tokens', tokens, [0, -1, 16], [['B'], ['S', 4], [16]]],
    ['undoes that', [['B'], ['S', 4], [16]], [0, -1, 64], tokens],
    ['makes one list of all tokens', tokens, [-1, 64], [['B', 'S'], [64]]],
    ['takes sizes of the input', [['B', 'S'], [64]], [['B'], ['S'], -1], tokens],
    ['keeps ones apart', tokens, [0, 0, 1, 64], [['B'], ['S'], [], [64]]],
    ['never cuts through tokens', tokens, [0, 64, -1], undefined],
    ['never takes a part of the tokens', tokens, [0, 2, -1, 64], undefined],
    ['refuses sizes that do not fit', tokens, [0, 0, 3, -1], undefined],
    ['refuses what leaves something over', tokens, [0, 0, 32], undefined],
    ['refuses sizes in the order of another shape', tokens, [['S'], ['B'], -1], undefined],
  ])('%s', (_, dims, targets, expected) => {
    expect(regroup(dims, targets)).toEqual(expected);
  });
});

describe('broadcasting', () => {
  test.each<[string, Dim[], Dim[], boolean, Dim[] | undefined]>([
    ['a bias over tokens', tokens, [[64]], true, tokens],
    ['a factor with all axes', tokens, [[], [], [64]], true, tokens],
    ['two values of the same tokens', tokens, tokens, false, tokens],
    ['one number per token over its features', tokens, [['B'], ['S'], []], false, tokens],
    ['positions against each other: tokens would meet', [['B'], ['S'], []], [['B'], [], ['S']], false, undefined],
    ['one token over all', tokens, [['B'], [], [64]], false, undefined],
    ['a constant with a row for each token', tokens, [[7], [64]], true, undefined],
    ['widths that do not fit', tokens, [[32]], true, undefined],
  ])('%s', (_, a, b, constant, expected) => {
    expect(broadcast(a, b, constant)).toEqual(expected);
  });
});
