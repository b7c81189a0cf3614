/**
 * Where a text stands. Some tokenizers put a space before a text, or before each section of it, and their decoders take
 * it away again.
 *
 * - `start`: at the beginning of a whole text
 * - `section`: behind a special token of the same text
 * - `continued`: directly behind other text, as a completion stands behind its prompt. Nothing is put before it, so that
 *   its tokens decode to the text itself
 */
export type TextPlace = 'start' | 'section' | 'continued';

/** A part of a text, and where it stands. */
export interface PlacedText {
  readonly text: string;
  readonly place: TextPlace;
}
