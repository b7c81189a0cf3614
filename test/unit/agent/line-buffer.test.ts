/** A line that comes in pieces. */

import { expect, it } from 'vitest';
import { LineBuffer } from '../../../src/agent/line-buffer.js';

const text = (line: Uint8Array | null): string | null => (line === null ? null : Buffer.from(line).toString('latin1'));

it('joins pieces of any length, and begins anew behind each line', () => {
  const buffer = new LineBuffer(1000);
  for (const piece of ['', 'a', 'bc', '', 'defgh'.repeat(50)]) buffer.add(Buffer.from(piece));
  expect(text(buffer.end())).toBe(`abc${'defgh'.repeat(50)}`);
  expect(text(buffer.end())).toBe('');
  buffer.add(Buffer.from('next'));
  expect(text(buffer.end())).toBe('next');
});

it('keeps nothing of a line that is too long, and takes the one behind it', () => {
  const buffer = new LineBuffer(4);
  for (let i = 0; i < 100; i++) buffer.add(Buffer.from('x'));
  expect(buffer.end()).toBeNull();
  buffer.add(Buffer.from('fits'));
  expect(text(buffer.end())).toBe('fits');
});

it('does not keep the pieces that it was given', () => {
  const buffer = new LineBuffer(10);
  const piece = Buffer.from('abc');
  buffer.add(piece);
  piece.fill('z');
  expect(text(buffer.end())).toBe('abc');
});
